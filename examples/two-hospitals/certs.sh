#!/usr/bin/env bash
# certs.sh DIR NAME...: an authority and a certificate for each name, with openssl only. A certificate carries its name as
# common name and as DNS name, and serves both sides of a connection. localhost is there for trying things out on one
# machine. In earnest every organisation makes its own key and request, and one authority that all have agreed on signs it.
set -euo pipefail
umask 077
dir=$1
shift
mkdir -p "$dir"
cd "$dir"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 90 \
  -subj "/CN=two hospitals authority" -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign" 2>/dev/null
for name in "$@"; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$name.key" -out "$name.csr" -subj "/CN=$name" 2>/dev/null
  openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -days 90 -out "$name.crt" -extfile <(cat <<EXT
subjectAltName=DNS:$name,DNS:localhost,IP:127.0.0.1
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
basicConstraints=critical,CA:FALSE
EXT
  ) 2>/dev/null
  rm "$name.csr"
done
rm ca.key # nothing else can be signed
