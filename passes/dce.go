package passes

import "smpcc/ir"

// dce drops values that no reveal depends on. Inputs stay: they are the interface.
func dce(m *ir.Module, opt *Options) error {
	f := m.Main()
	live := map[*ir.Value]bool{}
	for i := len(f.Body) - 1; i >= 0; i-- {
		v := f.Body[i]
		if v.Op == ir.OpReveal || v.Op == ir.OpInput {
			live[v] = true
		}
		if live[v] {
			for _, a := range v.Args {
				live[a] = true
			}
		}
	}
	body := f.Body[:0:0]
	for _, v := range f.Body {
		if live[v] {
			body = append(body, v)
		}
	}
	if opt != nil {
		opt.encoded.dropped(f.Body, body)
	}
	f.Body = body
	return nil
}
