// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/workload/enarxtoml"
)

func newInitCmd(a *app) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a commented Enarx.toml",
		Long: `Write an Enarx.toml with every key explained (to FILE, by default Enarx.toml
here). As it stands it gives a workload stdin, stdout and stderr and nothing
else; remove the # of what the workload needs.`,
		Example: "  enarx init\n  enarx run --config Enarx.toml hello.wasm",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneArg("FILE")(c, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			path := "Enarx.toml"
			if len(args) == 1 {
				path = args[0]
			}
			err := writeFile(path, "the configuration", []byte(enarxtoml.Template()), 0o644, !force)
			if err == nil && a.ui.terminal {
				a.ui.notef("wrote %s; use it with enarx run --config %s MODULE", path, path)
			}
			return err
		},
	}
	c.Flags().BoolVar(&force, "force", false, "replace the file if it is there")
	return c
}
