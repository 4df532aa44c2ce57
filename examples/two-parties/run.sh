#!/usr/bin/env bash
# Two party servers and a dealer on loopback, as three organisations would run them, with certificates made for this run:
# p0 owns the model, p1 the image. Ends with a prediction that only p1 sees.
set -euo pipefail
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
pids=()
finish() {
  for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap finish EXIT

go build -o "$dir/smpcc" ./cmd/smpcc
smpcc=$dir/smpcc
port=${PORT:-7610}

echo "== certificates, for p0, p1, the dealer d and their clients"
$smpcc keys dev "$dir/keys"

echo "== the plan, compiled under both owners' policies; the weights stay apart"
$smpcc compile examples/mnist/model.onnx --dim N=1 --range input=0..1 -o "$dir/mnist.plan" \
  --policy examples/two-parties/p0.policy.yaml --policy examples/two-parties/p1.policy.yaml

config() { # NAME PORT LINE...
  local name=$1 listen=$2
  shift 2
  cat > "$dir/$name.yaml" <<YAML
listen: 127.0.0.1:$listen
plan: mnist.plan
servers: {p0: "127.0.0.1:$port", p1: "127.0.0.1:$((port + 1))", d: "127.0.0.1:$((port + 2))"}
tls: {ca: keys/ca.crt, cert: keys/$name.crt, key: keys/$name.key}
state: state-$name
clients: [p1-client]
YAML
  printf '%s\n' "$@" >> "$dir/$name.yaml"
}
here=$PWD/examples/two-parties
config p0 "$port" "policy: $here/p0.policy.yaml" "weights: mnist.plan.p0.weights.npz"
config p1 $((port + 1)) "policy: $here/p1.policy.yaml"
config d $((port + 2))
cat > "$dir/client.yaml" <<YAML
servers: {p0: "127.0.0.1:$port", p1: "127.0.0.1:$((port + 1))"}
tls: {ca: keys/ca.crt, cert: keys/p1-client.crt, key: keys/p1-client.key}
acts_for: [p1]
YAML

echo "== servers"
$smpcc dealer serve --config "$dir/d.yaml" & pids+=($!)
$smpcc party serve --config "$dir/p0.yaml" & pids+=($!)
$smpcc party serve --config "$dir/p1.yaml" & pids+=($!)

echo "== two predictions from one setup"
$smpcc infer --config "$dir/client.yaml" "$dir/mnist.plan" --input input=examples/mnist/seven.png
$smpcc infer --config "$dir/client.yaml" "$dir/mnist.plan" --input input=examples/mnist/four.png

echo "== what p0's server has written down, unbroken"
$smpcc log verify "$dir/state-p0/audit.log"
