package local

import "smpcc/runtime/engine"

// Wrap, for tests, puts something between the roles and the network, once setup is done.
func (r *Runner) Wrap(f func(role int, t engine.Transport) engine.Transport) { r.wrap = f }
