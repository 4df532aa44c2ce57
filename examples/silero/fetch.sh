#!/usr/bin/env bash
# Fetches Silero VAD as the npm package @livekit/agents-plugin-silero has it (Apache-2.0), and onnxruntime-node.
set -euo pipefail
cd "$(dirname "$0")/../.."
source examples/beside/fetch.sh
package @livekit/agents-plugin-silero 1.9.0 7ea5f5a41fe6c8010291632b075673e5bf9aa5d0ef33e037edf982259cebaf08
onnxruntime
