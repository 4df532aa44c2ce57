package main

import (
	"os"
	"path/filepath"

	"smpcc"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// compile compiles a model, a program or text of the IR. A text holds no data: weights are read from the files beside it that are named as those of a plan
// are, and stay unknown where there is none.
func compile(path string, opt smpcc.Options) (*smpcc.Compilation, error) {
	if filepath.Ext(path) != ".ir" {
		return smpcc.Compile(path, opt)
	}
	m, err := smpcc.Load(path, opt)
	if err != nil {
		return nil, err
	}
	shapes := map[string]map[string]ir.Shape{}
	for _, f := range m.Funcs {
		for _, v := range f.Body {
			if v.Op == ir.OpWeight {
				o := v.Attrs.Str("owner")
				if shapes[o] == nil {
					shapes[o] = map[string]ir.Shape{}
				}
				shapes[o][v.Attrs.Str("name")] = v.Type.Shape
			}
		}
	}
	for _, o := range sortedKeys(shapes) {
		file := weightsFile(path, o)
		if _, err := os.Stat(file); err != nil {
			continue
		}
		data, err := readWeights(file, shapes[o])
		if err != nil {
			return nil, diag.Errorf(diag.Pos{File: file}, "the weights of %s cannot be read: %s", o, trimPath(file, err)).WithHint("give the weights of this text, or remove the file: they stay unknown then")
		}
		for n, t := range data {
			m.Weights[n] = t
		}
	}
	return smpcc.CompileModule(m, opt, true)
}

// hasReals reports whether a compilation has a graph of reals to compare with: that of a text at a later level has none.
func hasReals(c *smpcc.Compilation) bool { return c != nil && !c.Lowered() }
