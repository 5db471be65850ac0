// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/workload"
)

func newWorkloadCmd(a *app) *cobra.Command {
	c := group("workload", "Make and show bundles",
		`A bundle is a workload packed in canonical form: module, configuration, files and
the names of secrets. Its digest is the workload's identity: the same input gives
the same digest, anywhere.`)
	c.AddCommand(newPackCmd(a), newInspectBundleCmd(a))
	return c
}

// addWorkloadFlags are the flags that end up in the bundle.
func addWorkloadFlags(c *cobra.Command, f *workloadFlags) {
	fs := c.Flags()
	fs.StringVar(&f.config, "config", "", "configuration of the workload in `FILE`, an Enarx.toml (enarx init writes one)")
	fs.StringArrayVar(&f.env, "env", nil, "set an environment variable of the workload, `NAME=VALUE` (repeatable)")
	fs.StringVar(&f.memory, "memory", "", "most memory of the workload, `SIZE` such as 256MiB")
	fs.StringVar(&f.timeout, "timeout", "", "end the workload after this `TIME`, such as 30s")
}

// moduleArgs splits "MODULE -- ARGS…" and refuses arguments without the dashes,
// which are more often a mistake than a wish.
func moduleArgs(c *cobra.Command, args []string) error {
	n := len(args)
	if d := c.ArgsLenAtDash(); d >= 0 {
		n = d
	}
	switch {
	case n == 0:
		return failf(exitUsage, "see "+c.CommandPath()+" --help", "MODULE is missing: expected %s", c.UseLine())
	case n > 1:
		return failf(exitUsage, "put the workload's own arguments after two dashes: "+c.CommandPath()+" MODULE -- "+args[1],
			"unexpected argument %q after MODULE %q", args[1], args[0])
	}
	return nil
}

// completeModule lets shells offer what MODULE can be.
func completeModule(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return []string{"wasm", "wat", "bundle"}, cobra.ShellCompDirectiveFilterFileExt
}

func newPackCmd(a *app) *cobra.Command {
	var f workloadFlags
	var output string
	var asJSON bool
	c := &cobra.Command{
		Use:   "pack [flags] MODULE [-- ARGS...]",
		Short: "Pack a module, its configuration and files into a bundle",
		Long: `Pack MODULE (.wasm, .wat or a bundle), its Enarx.toml and the files this names into
one bundle, and print the bundle's digest. Arguments after -- are appended to
those of Enarx.toml.`,
		Example:           "  enarx workload pack --config Enarx.toml -o hello.bundle hello.wasm -- --verbose",
		Args:              moduleArgs,
		ValidArgsFunction: completeModule,
		RunE: func(_ *cobra.Command, args []string) error {
			a.ui.jsonErrors = asJSON
			return a.packTo(args[0], output, &f, args[1:], asJSON)
		},
	}
	addWorkloadFlags(c, &f)
	c.Flags().StringVarP(&output, "output", "o", "", "write the bundle to `FILE` (default: MODULE's name with .bundle, here)")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) packTo(module, output string, f *workloadFlags, args []string, asJSON bool) error {
	p, err := a.pack(module, f, args)
	if err != nil {
		return err
	}
	if output == "" {
		base := filepath.Base(module)
		output = strings.TrimSuffix(base, filepath.Ext(base)) + ".bundle"
	}
	if err := writeFile(output, "the bundle", p.Bundle, 0o644, false); err != nil {
		return err
	}
	if asJSON {
		return a.writeJSON(map[string]any{"digest": p.Digest.String(), "path": output, "size": len(p.Bundle)})
	}
	return a.emit("%s\n", p.Digest)
}

func newInspectBundleCmd(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what is in a bundle",
		Long: `Show the digest of a bundle and everything it covers: configuration, module,
files, sockets, names of secrets, limits. A module is shown as the bundle that
it would be packed into without any flag.`,
		Args:              oneArg("FILE"),
		ValidArgsFunction: completeModule,
		RunE: func(_ *cobra.Command, args []string) error {
			a.ui.jsonErrors = asJSON
			return a.inspectBundle(args[0], asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// bundleInfo is what `workload inspect --json` prints.
type bundleInfo struct {
	Digest       string         `json:"digest"`
	Size         int            `json:"size"`
	Confidential bool           `json:"confidential"`
	Evidence     bool           `json:"evidence"`
	Args         []string       `json:"args"`
	Env          []envInfo      `json:"env"`
	Descriptors  []fdInfo       `json:"descriptors"`
	Secrets      []secretInfo   `json:"secrets"`
	MemoryBytes  uint64         `json:"memory_bytes"` // 0: the default
	TimeoutMS    uint64         `json:"timeout_ms"`   // 0: none
	Scratch      []scratchInfo  `json:"scratch"`
	Steward      string         `json:"steward,omitempty"`
	Files        []bundleFile   `json:"files"`
	Sections     []bundleRegion `json:"sections"`
}

type envInfo struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type fdInfo struct {
	FD   int    `json:"fd"`
	Kind string `json:"kind"`
	Name string `json:"name"`
	Prot string `json:"prot,omitempty"`
	Host string `json:"host,omitempty"`
	Addr string `json:"addr,omitempty"`
	Port uint16 `json:"port,omitempty"`
}

type secretInfo struct {
	Name string `json:"name"`
	Env  string `json:"env,omitempty"`
	Path string `json:"path,omitempty"`
}

type scratchInfo struct {
	Path  string `json:"path"`
	Bytes uint64 `json:"bytes"`
	Files uint64 `json:"files"`
}

type bundleFile struct {
	Path string `json:"path"`
	Dir  bool   `json:"dir,omitempty"`
	Size int    `json:"size"`
}

type bundleRegion struct {
	Name    string `json:"name"`
	Offset  uint64 `json:"offset"`
	Size    uint64 `json:"size"`
	SHA256  string `json:"sha256"`
	Covered bool   `json:"covered"` // by the digest
}

func (a *app) inspectBundle(path string, asJSON bool) error {
	p, err := a.pack(path, &workloadFlags{}, nil)
	if err != nil {
		return err
	}
	u, err := workload.Parse(p.Bundle)
	if err != nil {
		return badWorkload(err)
	}
	info := describeBundle(u, len(p.Bundle))
	if asJSON {
		return a.writeJSON(info)
	}
	return a.emit("%s", info.text())
}

func describeBundle(u *workload.Bundle, size int) bundleInfo {
	c := u.Config()
	info := bundleInfo{
		Digest: u.Digest().String(), Size: size, Confidential: c.Confidential, Evidence: c.Evidence, Steward: c.Steward,
		MemoryBytes: c.Limits.MemoryBytes, TimeoutMS: c.Limits.TimeoutMS,
		Args: append([]string{}, c.Args...), Env: []envInfo{}, Descriptors: []fdInfo{}, Secrets: []secretInfo{}, Files: []bundleFile{}, Scratch: []scratchInfo{},
	}
	for _, k := range sortedKeys(c.Env) {
		info.Env = append(info.Env, envInfo{k, c.Env[k]})
	}
	for i, f := range c.Files {
		info.Descriptors = append(info.Descriptors, fdInfo{i, string(f.Kind), f.Name, string(f.Prot), f.Host, f.Addr, f.Port})
	}
	for _, s := range c.Secrets {
		info.Secrets = append(info.Secrets, secretInfo(s))
	}
	for _, s := range c.Scratch {
		info.Scratch = append(info.Scratch, scratchInfo(s))
	}
	for _, f := range u.Files() {
		info.Files = append(info.Files, bundleFile{f.Path, f.Dir, len(f.Data)})
	}
	for _, s := range u.SectionList() {
		info.Sections = append(info.Sections, bundleRegion{s.Name, s.Offset, s.Size, hex.EncodeToString(s.SHA256[:]), s.Covered})
	}
	return info
}
