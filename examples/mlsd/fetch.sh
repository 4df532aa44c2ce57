#!/usr/bin/env bash
# Fetches M-LSD as the npm package jp.keijiro.mlsd has it (Apache-2.0), and onnxruntime-node.
set -euo pipefail
cd "$(dirname "$0")/../.."
source examples/beside/fetch.sh
package jp.keijiro.mlsd 1.0.0 700e384ed337273202138ecad4a540b4b4f224b6aae92e85696c7c1a405b0bc8
onnxruntime
