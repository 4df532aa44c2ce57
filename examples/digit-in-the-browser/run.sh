#!/usr/bin/env bash
# Two party servers, a dealer and a page on loopback: whoever opens the link draws a digit, and learns which one it is. No party sees the drawing.
# With --once it sends a picture from the command line, as a guest, and ends.
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

smpcc=${SMPCC:-}
if [ -z "$smpcc" ]; then
  go build -o "$dir/smpcc" ./cmd/smpcc
  smpcc=$dir/smpcc
fi
port=${PORT:-7710}
here=$PWD/examples/digit-in-the-browser

echo "== certificates of the roles, and the key that invites"
$smpcc keys dev "$dir/keys"
inviter=$($smpcc keys sign "$dir/invite.key")

echo "== the plan: the drawing belongs to a guest, who alone learns the scores"
$smpcc compile examples/mnist/model.onnx --dim N=1 --owner input=guest --reveal output=guest --range input=0..1 -o "$dir/digit.plan" \
  --policy "$here/p0.policy.yaml" --policy "$here/guest.policy.yaml"

config() { # NAME PORT LINE...
  local name=$1 listen=$2
  shift 2
  cat > "$dir/$name.yaml" <<YAML
listen: 127.0.0.1:$listen
plan: digit.plan
servers: {p0: "127.0.0.1:$port", p1: "127.0.0.1:$((port + 1))", d: "127.0.0.1:$((port + 2))"}
tls: {ca: keys/ca.crt, cert: keys/$name.crt, key: keys/$name.key}
state: state-$name
clients: [$name-client]
YAML
  printf '%s\n' "$@" >> "$dir/$name.yaml"
}
guests() { # PORT [LINE]: plain is for this machine only; elsewhere a certificate that browsers trust stands here
  printf 'guests: {listen: "127.0.0.1:%s", plain: true, invite: ["%s"], origins: ["http://localhost:%s", "null"]%s}' "$1" "$inviter" $((port + 10)) "${2:-}"
}
servers=(--server "p0=http://localhost:$((port + 10))" --server "p1=http://localhost:$((port + 11))")
$smpcc page "$dir/digit.plan" -o "$dir/digit.html" "${servers[@]}"
config p0 "$port" "policy: $here/p0.policy.yaml" "weights: digit.plan.p0.weights.npz" "$(guests $((port + 10)) ', page: digit.html')"
config p1 $((port + 1)) "$(guests $((port + 11)))"
config d $((port + 2))

echo "== servers"
$smpcc dealer serve --config "$dir/d.yaml" 2> "$dir/d.log" & pids+=($!)
$smpcc party serve --config "$dir/p0.yaml" 2> "$dir/p0.log" & pids+=($!)
$smpcc party serve --config "$dir/p1.yaml" 2> "$dir/p1.log" & pids+=($!)
for p in p0 p1; do
  for _ in $(seq 100); do grep -q "listening for guests" "$dir/$p.log" && break; sleep 0.1; done
done

if [ "${1:-}" = --once ]; then
  token=$($smpcc invite "$dir/digit.plan" --key "$dir/invite.key" 2>/dev/null)
  $smpcc infer --guest "$dir/digit.plan" "${servers[@]}" --token "$token" --input input=examples/mnist/two.png
  echo "== the same invitation a second time"
  $smpcc infer --guest "$dir/digit.plan" "${servers[@]}" --token "$token" --input input=examples/mnist/two.png || true
  exit
fi
echo "== open this link, and draw"
$smpcc invite "$dir/digit.plan" --key "$dir/invite.key" --runs 100 --page "http://localhost:$((port + 10))/"
if [ -n "${WAIT_FILE:-}" ]; then
  cp "$dir/digit.html" "$WAIT_FILE.html"
  touch "$WAIT_FILE"
fi
wait
