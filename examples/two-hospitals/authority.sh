#!/usr/bin/env bash
# An authority whose key is kept: for the machine that does nothing else, and that is on no network. Needs openssl.
#   authority.sh init DIR NAME            a new authority NAME in DIR: ca.crt for everybody, ca.key for nobody, encrypted by a passphrase
#   authority.sh sign DIR CSR NAME OUT    a certificate for NAME, from the request that its organisation has made; DAYS=365
#   authority.sh list DIR                 what it has signed
# What a certificate says is written here, and nothing of it is taken from the request but its public key. AUTHORITY_PASS may hold the passphrase, for tests.
set -euo pipefail
umask 077
usage() { sed -n '3,5s/^#   //p' "$0" >&2; exit 2; }
pass=()
fail() { echo "authority.sh: $*" >&2; exit 1; }
[ $# -ge 2 ] || usage
what=$1 dir=$2
case $what in
  init)
    [ $# -eq 3 ] || usage
    mkdir -p "$dir"
    [ ! -e "$dir/ca.key" ] || fail "$dir/ca.key exists already: an authority is made once"
    [ -z "${AUTHORITY_PASS:-}" ] || pass=(-pass env:AUTHORITY_PASS)
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -aes-256-cbc "${pass[@]}" -out "$dir/ca.key"
    [ -z "${AUTHORITY_PASS:-}" ] || pass=(-passin env:AUTHORITY_PASS)
    openssl req -x509 -new -key "$dir/ca.key" "${pass[@]}" -out "$dir/ca.crt" -days 3650 -sha384 -subj "/CN=$3" \
      -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign"
    : > "$dir/signed"
    chmod 644 "$dir/ca.crt"
    openssl x509 -in "$dir/ca.crt" -noout -fingerprint -sha256
    ;;
  sign)
    [ $# -eq 5 ] || usage
    csr=$3 name=$4 out=$5
    [[ $name =~ ^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$ ]] && [ "$name" != localhost ] || fail "$name: want a name of a-z, 0-9 and -"
    [ ! -e "$out" ] || fail "$out exists already"
    openssl req -in "$csr" -verify -noout 2> /dev/null || fail "$csr: is no request, or its signature is wrong"
    subject=$(openssl req -in "$csr" -noout -subject -nameopt RFC2253)
    [ "$subject" = "subject=CN=$name" ] || fail "$csr: asks for \"$subject\", want /CN=$name: whose request is it?"
    [ -z "${AUTHORITY_PASS:-}" ] || pass=(-passin env:AUTHORITY_PASS)
    openssl x509 -req -in "$csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" "${pass[@]}" -set_serial "0x$(openssl rand -hex 16)" -days "${DAYS:-365}" -sha384 -out "$out" -extfile <(cat <<EXT
subjectAltName=DNS:$name
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
basicConstraints=critical,CA:FALSE
EXT
    ) 2> /dev/null || { rm -f "$out"; fail "not signed: is the passphrase right?"; }
    chmod 644 "$out"
    printf '%s %s %s %s\n' "$(date -u +%Y-%m-%d)" "$name" "$(openssl x509 -in "$out" -noout -enddate)" "$(openssl x509 -in "$out" -noout -fingerprint -sha256)" | tee -a "$dir/signed"
    ;;
  list)
    cat "$dir/signed"
    ;;
  *) usage ;;
esac
