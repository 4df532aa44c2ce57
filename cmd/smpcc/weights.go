package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/runtime/commit"
)

const weightsLong = `An owner of weights binds itself to them by a commitment: a hash over the tensors of the model as they were before any compilation, by name,
with their types, shapes and the bits of every number, each under a salt of its own, so that the hash says nothing of them. It is a line of text,
weights:HEX, which does not change when plans are compiled anew. It stands beside the plan's digest in approvals (smpcc approve --weights), and policies
of other owners may ask for it (models: [weights:HEX]). The owner's server compares its weights file with it, at every start and when the file changes, and
refuses other weights.

That keeps an honest owner honest: weights that were exchanged by mistake, or by somebody in the owner's house, do not run. It does not keep a cheating owner,
whose server does what he wants, from using others. He is found out, or cleared, when the commitment is opened: smpcc weights check proves to
whoever is shown the model and the opening that this was the one.

The opening is a file of JSON. {"format": "smpcc weights opening 1", "commitment": ..., "tensors": N, "seed": HEX} opens all, and is the owner's secret: with it,
guesses at weights can be tested. {"format": "smpcc weights partial opening 1", ..., "open": [{"name", "rank", "salt", "beside"}]} opens the tensors that it names, and says of
the others how many there are.`

// A weightSource is where commands about commitments find the tensors.
type weightSource struct {
	source
	by, file string
}

func (s *weightSource) add(c *cobra.Command) {
	s.flags(c)
	c.Flags().StringVar(&s.by, "by", "", "`OWNER` of the weights; by default the only one")
	c.Flags().StringVar(&s.file, "weights", "", "of a PLAN: the owner's `FILE` of weights; by default PLAN.OWNER.weights.npz")
}

// tensors returns an owner's source tensors, and of a plan also what the file holds of the plan's own weights.
func (s *weightSource) tensors(c *cobra.Command, path string) (list []commit.Tensor, p *plan.Plan, held map[string]*ir.Tensor, err error) {
	is, err := isPlan(path)
	if err != nil {
		return nil, nil, nil, err
	}
	var m *ir.Module
	if is {
		if p, err = readPlan(path); err != nil {
			return nil, nil, nil, err
		}
		m, err = smpcc.Graph(p)
	} else {
		var opt smpcc.Options
		if opt, err = s.options(c, path, nil); err == nil {
			m, err = smpcc.Load(path, opt)
		}
	}
	if err != nil {
		return nil, nil, nil, err
	}
	if s.by == "" {
		if s.by, err = soleOwner(path, m); err != nil {
			return nil, nil, nil, err
		}
	}
	if p == nil {
		list, err = sourceTensors(m, s.by, m.Weights)
		return list, nil, m.Weights, err
	}
	if len(smpcc.Sources(m, s.by)) == 0 {
		return nil, nil, nil, usagef("--by %s: it owns no weights; owners are among %s", s.by, strings.Join(m.Parties, ", "))
	}
	if s.file == "" {
		s.file = weightsFile(path, s.by)
	}
	if held, err = readOwn(p, m, s.file, s.by); err != nil {
		return nil, nil, nil, err
	}
	list, err = sourceTensors(m, s.by, held)
	return list, p, held, err
}

// soleOwner returns the one owner of weights.
func soleOwner(path string, m *ir.Module) (string, error) {
	var owners []string
	for _, o := range m.Parties {
		if len(smpcc.Sources(m, o)) > 0 {
			owners = append(owners, o)
		}
	}
	switch len(owners) {
	case 0:
		return "", diag.Errorf(diag.Pos{File: path}, "it has no weights").WithHint("commitments are to the weights of models")
	case 1:
		return owners[0], nil
	}
	return "", usagef("%s own weights of %s: say whose with --by OWNER", strings.Join(owners, " and "), path)
}

// readOwn reads a file of weights: the source tensors of the graph, and the weights of the plan, which are other ones where passes have folded them.
func readOwn(p *plan.Plan, graph *ir.Module, file, owner string) (map[string]*ir.Tensor, error) {
	shapes := map[string]ir.Shape{}
	for _, w := range p.Manifest.Weights {
		if w.Owner == owner {
			shapes[w.Name] = w.Shape
		}
	}
	for _, v := range smpcc.Sources(graph, owner) {
		shapes[v.Attrs.Str("name")] = v.Type.Shape
	}
	held, err := readWeights(file, shapes)
	if err != nil {
		return nil, diag.Errorf(diag.Pos{File: file}, "the weights of %s and the source tensors cannot be read: %s", owner, trimPath(file, err)).
			WithHint("smpcc compile -o writes both beside the plan; a file of an older release lacks source tensors: compile again")
	}
	return held, nil
}

// sourceTensors lists an owner's weights of a graph as commitments see them.
func sourceTensors(graph *ir.Module, owner string, data map[string]*ir.Tensor) (out []commit.Tensor, err error) {
	for _, v := range smpcc.Sources(graph, owner) {
		t := data[v.Attrs.Str("name")]
		if t == nil {
			return nil, diag.Errorf(v.Pos, "weight %q of %s has no data", v.Attrs.Str("name"), owner).WithHint("give the model, or a plan with its file of weights")
		}
		out = append(out, commit.Tensor{Name: v.Attrs.Str("name"), Elem: v.Type.Elem.String(), Shape: v.Type.Shape, F: t.F, I: t.I})
	}
	if len(out) == 0 {
		return nil, usagef("--by %s: it owns no weights; owners are among %s", owner, strings.Join(graph.Parties, ", "))
	}
	return out, nil
}

// checkBound compares an owner's file of weights with an opening: its source tensors with the commitment, and the plan's weights with what the plan's graph makes of
// them. It returns the commitment.
func checkBound(p *plan.Plan, file, opening, owner string) (string, error) {
	o, err := commit.ReadOpening(opening)
	if err != nil {
		return "", err
	}
	if o.Seed == nil {
		return "", diag.Errorf(diag.Pos{File: opening}, "it opens %d of %d weights; a server compares all", len(o.Some), o.Tensors).WithHint("give the opening that smpcc weights commit wrote")
	}
	graph, err := smpcc.Graph(p)
	if err != nil {
		return "", err
	}
	held, err := readOwn(p, graph, file, owner)
	if err != nil {
		return "", err
	}
	list, err := sourceTensors(graph, owner, held)
	if err != nil {
		return "", err
	}
	if _, err := o.Check(list); err != nil {
		return "", diag.Errorf(diag.Pos{File: file}, "%v", err).WithHint("put back the weights that were committed to; for others make a new commitment (smpcc weights commit), which needs new approvals")
	}
	if err := smpcc.Derived(p, held, held, owner); err != nil {
		return "", inFile(file, err)
	}
	return o.Root.String(), nil
}

func weightsCommands() []*cobra.Command {
	return []*cobra.Command{weightsCommitCommand(), weightsOpenCommand(), weightsCheckCommand()}
}

func weightsCommitCommand() *cobra.Command {
	var s weightSource
	var out string
	c := &cobra.Command{
		Use:   "commit MODEL|PLAN [-o OPENING]",
		Short: "Commit to an owner's weights, and write the opening, which stays with the owner",
		Long:  weightsLong,
		Args:  exactly(1, "one MODEL or PLAN"),
	}
	s.add(c)
	c.Flags().StringVarP(&out, "output", "o", "", "`OPENING` file to write, readable by you only (default: the source's name with .OWNER.opening)")
	c.RunE = func(c *cobra.Command, args []string) error {
		list, p, held, err := s.tensors(c, args[0])
		if err != nil {
			return err
		}
		if p != nil {
			if err := smpcc.Derived(p, held, held, s.by); err != nil {
				return inFile(s.file, err)
			}
		}
		seed, err := commit.NewSeed()
		if err != nil {
			return err
		}
		root, err := commit.Commit(seed, list)
		if err != nil {
			return err
		}
		if out == "" {
			out = strings.TrimSuffix(filepath.Base(args[0]), filepath.Ext(args[0])) + "." + s.by + ".opening"
		}
		if err := (&commit.Opening{Root: root, Tensors: len(list), Seed: &seed}).Write(out); err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n%s: opens it, for %s only; %s of it bound\n", root, out, s.by, atMost(len(list), "weight"))
		return err
	}
	return c
}

func weightsOpenCommand() *cobra.Command {
	var s weightSource
	var opening, out string
	var names []string
	c := &cobra.Command{
		Use:   "open MODEL|PLAN --opening FILE --weight NAME -o PARTIAL",
		Short: "Open single weights of a commitment, and show nothing of the others",
		Long:  weightsLong,
		Args:  exactly(1, "one MODEL or PLAN"),
	}
	s.add(c)
	c.Flags().StringVar(&opening, "opening", "", "`FILE` that smpcc weights commit wrote")
	c.Flags().StringArrayVar(&names, "weight", nil, "`NAME` of a weight to open; again for each")
	c.Flags().StringVarP(&out, "output", "o", "", "`PARTIAL` opening to write")
	c.RunE = func(c *cobra.Command, args []string) error {
		if opening == "" || out == "" || len(names) == 0 {
			return usagef("%s: want --opening FILE, --weight NAME and -o PARTIAL; the whole opening is the file of smpcc weights commit itself", c.CommandPath())
		}
		for i, n := range names {
			if slices.Contains(names[:i], n) {
				return usagef("--weight %s is given twice", n)
			}
		}
		o, err := commit.ReadOpening(opening)
		if err != nil {
			return err
		}
		list, _, _, err := s.tensors(c, args[0])
		if err != nil {
			return err
		}
		some, err := o.Open(list, names)
		if err != nil {
			return diag.Errorf(diag.Pos{File: args[0]}, "%v", err).WithHint("give the model that was committed to, and names as smpcc audit lists the weights of a plan that was compiled from it")
		}
		if err := some.Write(out); err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s: opens %d of %d weights of %s\n", out, len(some.Some), some.Tensors, some.Root)
		return err
	}
	return c
}

func weightsCheckCommand() *cobra.Command {
	var s weightSource
	var opening, want string
	c := &cobra.Command{
		Use:   "check MODEL|PLAN --opening FILE",
		Short: "Prove that weights are those of a commitment",
		Long:  weightsLong,
		Args:  exactly(1, "one MODEL or PLAN"),
	}
	s.add(c)
	c.Flags().StringVar(&opening, "opening", "", "`FILE` with the opening, whole or partial")
	c.Flags().StringVar(&want, "commitment", "", "`weights:HEX` that it must be the opening of, as an approval or a policy names it")
	c.RunE = func(c *cobra.Command, args []string) error {
		if opening == "" {
			return usagef("%s: --opening FILE is missing", c.CommandPath())
		}
		o, err := commit.ReadOpening(opening)
		if err != nil {
			return err
		}
		if want != "" {
			r, err := commit.ParseRoot(want)
			if err != nil {
				return usageError{err}
			}
			if r != o.Root {
				return diag.Errorf(diag.Pos{File: opening}, "it opens %s, not %s", o.Root, r).WithHint("ask the owner of the weights for the opening of that commitment")
			}
		}
		list, p, held, err := s.tensors(c, args[0])
		if err != nil {
			return err
		}
		n, err := o.Check(list)
		if err != nil {
			return diag.Errorf(diag.Pos{File: args[0]}, "%v", err).WithHint("these are other weights than those that were committed to, or the opening is another one's")
		}
		if p != nil {
			if err := smpcc.Derived(p, held, held, s.by); err != nil {
				return inFile(s.file, err)
			}
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d of %d weights of %s are those of %s\n", args[0], n, o.Tensors, s.by, o.Root)
		return err
	}
	return c
}
