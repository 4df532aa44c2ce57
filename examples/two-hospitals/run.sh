#!/usr/bin/env bash
# Two hospitals and a registry on this machine: three servers with certificates of their own, and a client for each
# hospital. Needs Go and, with CERTS=openssl, openssl. PORT=9000 moves the ports, KEEP=DIR leaves the folders behind for
# compose and Kubernetes.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=examples/two-hospitals
port=${PORT:-7101}
if [ -n "${KEEP:-}" ]; then dir=$KEEP; mkdir -p "$dir"; else dir=$(mktemp -d); fi
pids=()
finish() {
  for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
  wait 2>/dev/null || true
  [ -n "${KEEP:-}" ] || rm -rf "$dir"
}
trap finish EXIT

echo "== smpcc is built; the first time takes a minute"
go build -o "$dir/smpcc" ./cmd/smpcc
smpcc=$dir/smpcc

echo "== certificates"
case ${CERTS:-smpcc} in
  openssl) $here/certs.sh "$dir/keys" north south registry north-client south-client ;;
  smpcc) $smpcc keys dev --roles north,south,registry "$dir/keys" ;;
  *) echo "CERTS=$CERTS: want smpcc or openssl"; exit 2 ;;
esac

echo "== the plan, compiled under both hospitals' policies"
$smpcc compile $here/trial.smp -o "$dir/trial.plan" --policy $here/north.policy.yaml --policy $here/south.policy.yaml

digest=$($smpcc plan show "$dir/trial.plan" | sed -n 's/^plan *//p')

echo "== one folder for each organisation, as it would be on its machine"
for name in north south registry north-client south-client; do
  mkdir -p "$dir/$name"
  cp "$dir/keys/ca.crt" "$dir/trial.plan" "$dir/$name/"
  cp "$dir/keys/$name.crt" "$dir/$name/tls.crt"
  cp "$dir/keys/$name.key" "$dir/$name/tls.key"
  cp $here/config/$name.yaml "$dir/$name/config.yaml"
  case $name in north | south) cp $here/$name.policy.yaml "$dir/$name/policy.yaml" ;; esac
  # on one machine everybody has another port and a state folder at hand
  case $name in south*) own=$((port + 1)) ;; registry) own=$((port + 2)) ;; *) own=$port ;; esac
  sed -e "s|north:7101|127.0.0.1:$port|; s|south:7101|127.0.0.1:$((port + 1))|; s|registry:7101|127.0.0.1:$((port + 2))|" \
    -e "s|0.0.0.0:7101|127.0.0.1:$own|; s|0.0.0.0:9101|127.0.0.1:$((own + 10))|; s|/var/lib/smpcc/state|state|" \
    "$here/config/$name.yaml" > "$dir/$name/local.yaml"
  # in clusters everybody has two workers, see kubernetes/
  case $name in north | south | registry)
    sed "s/DIGEST/${digest:0:16}/" "$here/kubernetes/$name.yaml" > "$dir/$name/kubernetes.yaml"
    { printf '%s\n' "apiVersion: v1" "kind: ConfigMap" "metadata: {name: smpcc-plan-${digest:0:16}}" "immutable: true" "binaryData:"
      printf '  trial.plan: '; base64 < "$dir/trial.plan" | tr -d '\n'; echo; } > "$dir/$name/plan.yaml" ;;
  esac
  { cat "$here/config/$name.yaml"; echo "workers: 2"; } | sed -E 's#"(north|south|registry):7101"#"\1-{worker}.\1:7101"#g' > "$dir/$name/workers.yaml"
done

echo "== servers"
$smpcc dealer serve --config "$dir/registry/local.yaml" 2> "$dir/registry.log" & pids+=($!)
registry=$!
$smpcc party serve --config "$dir/south/local.yaml" 2> "$dir/south.log" & pids+=($!)
$smpcc party serve --config "$dir/north/local.yaml" 2> "$dir/north.log" & pids+=($!)
for i in $(seq 100); do
  if $smpcc party check --config "$dir/north/local.yaml" > "$dir/check" 2>&1; then break; fi
  [ "$i" -lt 100 ] || { cat "$dir/check" "$dir"/*.log; exit 1; }
  sleep 0.2
done
cat "$dir/check"

# Each hospital's client gives its own counts. North opens the session and tells South its ticket: the number, and a secret without which nobody takes part.
ask() {
  : > "$dir/session"
  $smpcc infer --config "$dir/north-client/local.yaml" "$dir/trial.plan" --input north_counts=$here/north.json > "$dir/north.out" 2> "$dir/session" &
  local asking=$! session=
  for _ in $(seq 300); do
    session=$(sed -n 's/^session //p' "$dir/session")
    if [ -n "$session" ] || ! kill -0 $asking 2>/dev/null; then break; fi
    sleep 0.1
  done
  [ -n "$session" ] || { cat "$dir/session" "$dir"/*.log; exit 1; }
  echo "-- session ${session%%-*}, south:"
  $smpcc infer --config "$dir/south-client/local.yaml" --session "$session" "$dir/trial.plan" --input south_counts=$here/south.json
  wait $asking
  echo "-- session ${session%%-*}, north:"
  cat "$dir/north.out"
}

echo "== the answer"
ask

echo "== material for sessions to come, so that the registry need not be there"
$smpcc material generate --config "$dir/north/local.yaml" --sessions 4
$smpcc material status --config "$dir/north/local.yaml"
kill $registry
wait $registry || true
ask

echo "== who learnt what: by the plan, and by the log that each server keeps"
$smpcc audit "$dir/trial.plan" | sed -n '/^Who learns what/,/^$/p'
for name in north south; do
  $smpcc log verify "$dir/$name/state/audit.log"
  grep -c '"what":"session".*"decision":"allowed"' "$dir/$name/state/audit.log" | sed "s/$/ sessions allowed by $name/"
done
