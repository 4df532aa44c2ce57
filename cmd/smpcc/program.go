package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/frontend/dsl"
	"smpcc/ir"
)

// programsOnly refuses files that are no programs.
func programsOnly(files []string) error {
	for _, f := range files {
		if !smpcc.IsProgram(f) {
			return usagef("%s is not a program of the language (.smp)", f)
		}
	}
	return nil
}

func fmtCommand() *cobra.Command {
	var write, check bool
	c := &cobra.Command{
		Use:   "fmt PROGRAM ... [-w]",
		Short: "Print programs of the language in one style, or write them back",
		Long: `Fmt indents by brackets and sets blanks in one way; lines and comments stay where they are. Formatting twice is formatting once.

  smpcc fmt -w program.smp     then: smpcc check program.smp`,
		Args: atLeast(1, "one PROGRAM or more"),
	}
	c.Flags().BoolVarP(&write, "write", "w", false, "write the files back")
	c.Flags().BoolVar(&check, "check", false, "list files that are not in the style, and fail if there is one")
	c.RunE = func(c *cobra.Command, args []string) error {
		if write && check {
			return usagef("--write and --check exclude each other")
		}
		if err := programsOnly(args); err != nil {
			return err
		}
		other := 0
		for _, f := range args {
			src, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			out, err := dsl.Format(f, src)
			if err != nil {
				return err
			}
			switch {
			case check && !bytes.Equal(src, out):
				other++
				fmt.Fprintln(c.OutOrStdout(), f)
			case check:
			case write:
				if !bytes.Equal(src, out) {
					if err := plan.WriteAtomic(f, out, 0o644); err != nil {
						return err
					}
				}
			default:
				if _, err := c.OutOrStdout().Write(out); err != nil {
					return err
				}
			}
		}
		if other > 0 {
			return fmt.Errorf("%d files are not in the style\n\thint: smpcc fmt -w", other)
		}
		return nil
	}
	return c
}

func programCheckCommand() *cobra.Command {
	var dims []string
	c := &cobra.Command{
		Use:   "check PROGRAM ... [--dim N=8]",
		Short: "Check programs of the language without compiling them: names, types, shapes, owners",
		Long: `Check reads programs and says all of their mistakes, or what they take and give. Dimensions that have no size count as 1.

  smpcc check program.smp      then: smpcc run program.smp --input NAME=FILE ...`,
		Args: atLeast(1, "one PROGRAM or more"),
	}
	c.Flags().StringArrayVar(&dims, "dim", nil, "size of a named dimension, `N=8`")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := programsOnly(args); err != nil {
			return err
		}
		given, err := readDims(dims)
		if err != nil {
			return err
		}
		for _, f := range args {
			m, err := smpcc.Load(f, smpcc.Options{Dims: given, Sizeless: true})
			if err != nil {
				return err
			}
			list, err := dsl.Declarations(f)
			if err != nil {
				return err
			}
			w := c.OutOrStdout()
			fmt.Fprintf(w, "%s: parties %s\n", f, strings.Join(m.Parties, ", "))
			for _, d := range list {
				kind := "input"
				if d.Weight {
					kind = "weight"
				}
				shape := ""
				if len(d.Dims) > 0 {
					shape = "[" + strings.Join(d.Dims, ", ") + "]"
				}
				fmt.Fprintf(w, "  %s %s: %s%s from %s\n", kind, d.Name, d.Elem, shape, d.Owner)
			}
			for _, v := range m.Main().Reveals() {
				fmt.Fprintf(w, "  output %s: %s to %s\n", v.Attrs.Str("name"), elementText(v.Args[0]), strings.Join(v.Attrs.Strings("to"), ", "))
			}
		}
		return nil
	}
	return c
}

// elementText renders the kind of a value's elements.
func elementText(v *ir.Value) string { return v.Type.Elem.String() }
