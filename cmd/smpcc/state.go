package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"smpcc/backend/plan/typed"
	"smpcc/runtime/server"
)

func stateGCCommand() *cobra.Command {
	var config, archive string
	var worker int
	var yes bool
	c := &cobra.Command{
		Use:   "gc --config FILE",
		Short: "List, and with --yes remove, what a state folder holds of other plans and of crashes",
		Long: `Gc lists what the state folder of a configuration holds besides what its plan needs: setups and stored material of other plans, files that a crash left half
written, and closed files of the audit log. With --yes it removes them, except for those of the log, which --archive DIR moves; smpcc log verify DIR/... checks them
there, and prints the hash with which the rest is checked. The ledger stays: it keeps material from being used twice, of every plan for ever.

It may run while the server does. It must not run where servers of several plans were given one folder, which is a mistake anyway.`,
		Args: exactly(0, "no arguments"),
	}
	c.Flags().StringVar(&config, "config", "", "configuration `FILE` of a server")
	c.Flags().BoolVar(&yes, "yes", false, "remove what is listed")
	c.Flags().StringVar(&archive, "archive", "", "with --yes: `DIR` to move closed files of the audit log to")
	workerFlag(c, &worker)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if config == "" {
			return usagef("smpcc state gc: --config FILE is missing")
		}
		if archive != "" && !yes {
			return usagef("--archive needs --yes")
		}
		cfg, err := readConfig(config, worker)
		if err != nil {
			return err
		}
		if cfg.Plan == "" || cfg.State == "" {
			return fmt.Errorf("%s: plan and state are needed: what other plans have left is removed", config)
		}
		p, err := typed.ReadFile(cfg.Plan)
		if err != nil {
			return err
		}
		dir, err := cfg.StateFolder()
		if err != nil {
			return err
		}
		items, err := server.Garbage(dir, p)
		if err != nil {
			return err
		}
		t := newTable(c.OutOrStdout(), "file", "bytes", "what")
		for _, i := range items {
			name, err := filepath.Rel(dir, i.Path)
			if err != nil {
				name = i.Path
			}
			t.row(name, bytesText(i.Bytes), i.What)
		}
		if err := t.flush(); err != nil {
			return err
		}
		if !yes {
			return nil
		}
		if archive != "" {
			if err := os.MkdirAll(archive, 0o700); err != nil {
				return err
			}
		}
		freed, err := server.Collect(items, archive)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s is smaller by %s\n", dir, bytesText(freed))
		return err
	}
	return c
}
