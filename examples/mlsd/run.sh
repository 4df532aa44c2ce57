#!/usr/bin/env bash
# Finds the straight lines in a picture under secure execution and, beside it, by onnxruntime; they go to lines.png in the
# folder given, or in examples/.fetched/mlsd. Needs 10 GB of memory.
set -euo pipefail
cd "$(dirname "$0")/../.."
examples/mlsd/fetch.sh
out=${1:-examples/.fetched/mlsd}
model=examples/.fetched/jp.keijiro.mlsd-1.0.0/ONNX/mlsd_320x320_tiny.onnx
input=input_image_with_alpha:0
mkdir -p "$out"

go run ./examples/mlsd prepare "$out"
go run ./cmd/smpcc run "$model" --input $input="$out/room.pb" --calibrate "$out/sample.pb" --frac-bits 24 --out "$out/secure"
node examples/beside/onnxruntime.js "$model" "$out/plain" $input="$out/room.f32":1x320x320x4
go run ./examples/mlsd draw "$out"
