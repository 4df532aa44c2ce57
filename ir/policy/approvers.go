package policy

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
)

// approverKeys are the keys of approve where it is a mapping.
var approverKeys = []string{"keys", "at_least"}

// approvers reads who approves plans: a list of keys, of which one is enough, or {keys: [...], at_least: 2}.
func (r *reader) approvers(v node) (keys []string, atLeast int) {
	atLeast = 1
	list := v
	if v.is("mapping") {
		list = node{}
		r.fields(v, "approve", approverKeys, func(key string, v node) {
			if key == "keys" {
				list = v
			} else {
				atLeast = r.positive(v)
			}
		})
		if list.Node == nil {
			r.fail(v, "approve has no keys").WithHint("write {keys: [ed25519:..., ed25519:...], at_least: 2}")
			return nil, 0
		}
	}
	for _, item := range r.list(list) {
		k := r.text(item)
		if b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(k, "ed25519:")); err != nil || len(b) != ed25519.PublicKeySize || !strings.HasPrefix(k, "ed25519:") {
			r.fail(item, "%q is not a public key", k).WithHint("smpcc keys sign FILE makes a key and prints its public half, ed25519:...")
		}
		if slices.Contains(keys, k) {
			r.fail(item, "the key %s stands twice", k).WithHint("each key approves once")
		}
		keys = append(keys, k)
	}
	switch {
	case len(keys) == 0:
		r.fail(v, "approve names no key").WithHint("leave approve away if no approval is wanted")
	case atLeast > len(keys):
		r.fail(v, "at_least: %d of %d keys can never be had", atLeast, len(keys)).WithHint("name more keys, or ask for at most %d", len(keys))
	}
	return keys, atLeast
}

// commitmentPrefix begins a commitment to weights, as smpcc weights commit prints it.
const commitmentPrefix = "weights:"

// models reads commitments to weights.
func (r *reader) models(v node) (out []string) {
	for _, item := range r.list(v) {
		c := r.text(item)
		if b, err := hex.DecodeString(strings.TrimPrefix(c, commitmentPrefix)); err != nil || len(b) != 32 || !strings.HasPrefix(c, commitmentPrefix) || c != strings.ToLower(c) {
			r.fail(item, "%q is not a commitment to weights", c).WithHint("their owner makes one with smpcc weights commit, which prints it: weights:...")
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		r.fail(v, "models names no commitment").WithHint("leave models away if any weights will do")
	}
	return out
}
