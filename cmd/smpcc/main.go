// Command smpcc compiles computation graphs to secure multi-party computation plans, runs them, and shows what they do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"smpcc"
	"smpcc/ir/diag"
)

// Exit codes of the command line contract.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
	exitNo      = 4 // what was asked of a plan is not so
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends a server that is stopping
	os.Exit(Main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Main runs the command line and returns the exit code.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := unknownCommand(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		return exitDone
	}
	var silent silentError
	if !errors.As(err, &silent) {
		fmt.Fprintf(stderr, "smpcc: %s\n", err)
	}
	var u usageError
	var no noError
	switch {
	case errors.As(err, &no):
		return exitNo
	case errors.As(err, &u) || diag.KindOf(err) == diag.Usage:
		return exitUsage
	case diag.KindOf(err) == diag.Policy:
		return exitRefused
	}
	return exitFailed
}

// A usageError is a mistake in how a command was called.
type usageError struct{ error }

// Unwrap returns the mistake.
func (u usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// A silentError has been reported already.
type silentError struct{ error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "smpcc",
		Short: "Compile computation graphs to secure multi-party computation plans, and run them",
		Long: `smpcc compiles an ONNX model or a program of its language to one plan per party. The parties run the plans together:
each learns only the outputs that a written policy lets it learn.

  smpcc run examples/mnist/model.onnx --input input=examples/mnist/seven.png
  smpcc compile model.onnx -o model.plan        smpcc audit model.plan`,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if bad := (*pflag.InvalidValueError)(nil); errors.As(err, &bad) {
			return usagef("--%s %s: want %s\n\thint: %s --help lists the flags", bad.GetFlag().Name, bad.GetValue(), valueOf(bad.GetFlag()), c.CommandPath())
		}
		return usagef("%s: %w\n\thint: %s --help lists the flags", c.CommandPath(), err, c.CommandPath())
	})
	root.AddCommand(runCommand(), compileCommand(), inspectCommand(), costCommand(), auditCommand(), verifyCommand(), recheckCommand(), numbersCommand(), testCommand(), benchCommand(), passesCommand(), opsCommand(), fmtCommand(), programCheckCommand(), versionCommand())
	root.AddCommand(serverCommands()...)
	for _, c := range root.Commands() {
		c.DisableFlagsInUseLine = true
	}
	return root
}

// valueOf says in words what a flag takes.
func valueOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "int", "int64", "uint", "uint64":
		return "a whole number"
	case "float64":
		return "a number"
	case "bool":
		return "true or false"
	case "duration":
		return "a duration, as 30s or 2h"
	}
	return "a " + f.Value.Type()
}

// unknownCommand returns a usage error, with what is called nearly the same, if the arguments name a command that does not exist.
func unknownCommand(root *cobra.Command, args []string) error {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	c, rest, err := root.Find(args)
	if len(rest) == 0 || strings.HasPrefix(rest[0], "-") || strings.HasPrefix(rest[0], cobra.ShellCompRequestCmd) {
		return nil
	}
	if err == nil && (c.Runnable() || !c.HasSubCommands()) { // its own check of arguments says what is wrong
		return nil
	}
	name := rest[0]
	hint := fmt.Sprintf("%s --help lists the commands", c.CommandPath())
	if c.SuggestionsMinimumDistance == 0 {
		c.SuggestionsMinimumDistance = 2
	}
	if near := c.SuggestionsFor(name); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %s %s? %s", c.CommandPath(), strings.Join(near, " or "), hint)
	}
	return usagef("%s has no command %q\n\thint: %s", c.CommandPath(), name, hint)
}

// exactly returns a check for the number of arguments that fails as wrong usage.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%s takes %s, got %d arguments", c.CommandPath(), what, len(args))
		}
		return nil
	}
}

// atLeast returns a check for the least number of arguments that fails as wrong usage.
func atLeast(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < n {
			return usagef("%s takes %s, got %d arguments", c.CommandPath(), what, len(args))
		}
		return nil
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: exactly(0, "no arguments"), RunE: func(c *cobra.Command, _ []string) error {
		_, err := fmt.Fprintln(c.OutOrStdout(), "smpcc", smpcc.Version)
		return err
	}}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// pairs reads flags of the form NAME=VALUE.
func pairs(flag string, list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, s := range list {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" || v == "" {
			return nil, usagef("--%s %s: want NAME=VALUE", flag, s)
		}
		if _, twice := out[k]; twice {
			return nil, usagef("--%s: %s is given twice", flag, k)
		}
		out[k] = v
	}
	return out, nil
}
