// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"slices"
	"strconv"
	"strings"
)

// Default ports of a socket whose port is not written: the ones of the
// original.
const (
	DefaultPortTLS = 443
	DefaultPortTCP = 80
)

// DefaultAddr is where a listener listens that says nothing else: everywhere.
const DefaultAddr = "::"

// StdFiles are the descriptors of a workload without any Enarx.toml: stdin,
// stdout and stderr as 0, 1 and 2.
func StdFiles() []File {
	return []File{
		{Kind: KindStdin, Name: string(KindStdin)},
		{Kind: KindStdout, Name: string(KindStdout)},
		{Kind: KindStderr, Name: string(KindStderr)},
	}
}

// DefaultPort is the port of a socket of protocol p that names none.
func (p Prot) DefaultPort() uint16 {
	if p == ProtTCP {
		return DefaultPortTCP
	}
	return DefaultPortTLS
}

// FDEnv gives the values of the two variables by which a program finds its
// pre-opened descriptors: FD_COUNT, the number of entries of Enarx.toml's
// files, and FD_NAMES, their names joined by ':'. The Keep puts them before
// the environment of the configuration, which may shadow them.
func (c Config) FDEnv() (count, names string) {
	all := make([]string, len(c.Files))
	for i, f := range c.Files {
		all[i] = f.Name
	}
	return strconv.Itoa(len(all)), strings.Join(all, ":")
}

// Clone copies c and everything in it.
func (c Config) Clone() Config {
	c.Args = slices.Clone(c.Args)
	c.Files = slices.Clone(c.Files)
	c.Secrets = slices.Clone(c.Secrets)
	c.Scratch = slices.Clone(c.Scratch)
	if c.Env != nil {
		env := make(map[string]string, len(c.Env))
		for k, v := range c.Env {
			env[k] = v
		}
		c.Env = env
	}
	return c
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
