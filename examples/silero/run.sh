#!/usr/bin/env bash
# Says when somebody speaks in a sound, under secure execution and, beside it, by onnxruntime; the windows go to voice.png in
# the folder given, or in examples/.fetched/silero.
set -euo pipefail
cd "$(dirname "$0")/../.."
examples/silero/fetch.sh
out=${1:-examples/.fetched/silero}
model=examples/.fetched/@livekit/agents-plugin-silero-1.9.0/dist/silero_vad.onnx
rm -rf "$out"
mkdir -p "$out/speech" "$out/sample" "$out/secure"
go build -o "$out/smpcc" ./cmd/smpcc

echo "== windows of 32 ms, by onnxruntime"
go run ./examples/silero prepare "$out"
node examples/silero/plain.js "$model" "$out/speech"
node examples/silero/plain.js "$model" "$out/sample"

echo "== one plan for all windows, with ranges from every fourth window of another sound"
echo 16000 > "$out/sr.json"
calibrate=()
for ((i = 0; ; i += 4)); do
  [ -f "$out/sample/$i.pb" ] || break
  calibrate+=(--calibrate input="$out/sample/$i.pb" --calibrate state="$out/sample/$i.state.json")
done
"$out/smpcc" compile "$model" --public sr="$out/sr.json" --range input=-1..1 "${calibrate[@]}" \
  --frac-bits 21 --precision 0.0001 -o "$out/silero.plan"

echo "== secure execution, the state of each window being an input of the next"
state=$out/speech/0.state.json # zeros
for ((i = 0; ; i++)); do
  [ -f "$out/speech/$i.pb" ] || break
  "$out/smpcc" run "$out/silero.plan" --input input="$out/speech/$i.pb" --input state="$state" --out "$out/secure/$i" > "$out/log"
  state=$out/secure/$i/p1/stateN.pb
done
tail -7 "$out/log"

echo "== compared"
go run ./examples/silero draw "$out"
