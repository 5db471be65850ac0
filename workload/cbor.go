// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"slices"
	"strings"

	"github.com/enarx/enarx-go/internal/detcbor"
)

// configWire is the config section (SPEC.md, section 4). A key is absent when
// it has its zero value, so that a key which a later version adds does not
// change the digest of workloads that do not use it.
type configWire struct {
	Args         []string          `cbor:"args,omitempty"`
	Confidential bool              `cbor:"confidential,omitempty"`
	Env          map[string]string `cbor:"env,omitempty"`
	Evidence     bool              `cbor:"evidence,omitempty"`
	Files        []fileWire        `cbor:"files,omitempty"`
	Memory       uint64            `cbor:"memory,omitempty"`
	Scratch      []scratchWire     `cbor:"scratch,omitempty"`
	Steward      string            `cbor:"steward,omitempty"`
	TimeoutMS    uint64            `cbor:"timeout_ms,omitempty"`
}

type fileWire struct {
	Addr string `cbor:"addr,omitempty"`
	Host string `cbor:"host,omitempty"`
	Kind Kind   `cbor:"kind,omitempty"`
	Name string `cbor:"name,omitempty"`
	Port uint16 `cbor:"port,omitempty"`
	Prot Prot   `cbor:"prot,omitempty"`
}

type scratchWire struct {
	Bytes uint64 `cbor:"bytes,omitempty"`
	Files uint64 `cbor:"files,omitempty"`
	Path  string `cbor:"path,omitempty"`
}

type secretWire struct {
	Env  string `cbor:"env,omitempty"`
	Name string `cbor:"name,omitempty"`
	Path string `cbor:"path,omitempty"`
}

// indexWire is one entry of the file-index section: [path, directory?, size].
type indexWire struct {
	_    struct{} `cbor:",toarray"`
	Path string
	Dir  bool
	Size uint64
}

// decode reads the one encoding of a value. Package detcbor encodes again and
// compares, which refuses all that a CBOR library is lenient about: null for
// an empty value, long forms, the order and the case of keys.
func decode(b []byte, v any) error {
	if err := detcbor.Unmarshal(b, v); err != nil {
		return fmt.Errorf("not the expected deterministic CBOR (%w); pack the workload again", err)
	}
	return nil
}

func encodeConfig(c Config) ([]byte, error) {
	w := configWire{
		Args: c.Args, Confidential: c.Confidential, Env: c.Env, Evidence: c.Evidence,
		Memory: c.Limits.MemoryBytes, Steward: c.Steward, TimeoutMS: c.Limits.TimeoutMS,
	}
	for _, f := range c.Files {
		w.Files = append(w.Files, fileWire{f.Addr, f.Host, f.Kind, f.Name, f.Port, f.Prot})
	}
	for _, s := range c.Scratch {
		w.Scratch = append(w.Scratch, scratchWire{s.Bytes, s.Files, s.Path})
	}
	return detcbor.Marshal(w)
}

// decodeConfig leaves the secrets empty: they have a section of their own.
func decodeConfig(b []byte) (Config, error) {
	var w configWire
	if err := decode(b, &w); err != nil {
		return Config{}, err
	}
	c := Config{
		Args: w.Args, Confidential: w.Confidential, Env: w.Env, Evidence: w.Evidence, Steward: w.Steward,
		Limits: Limits{MemoryBytes: w.Memory, TimeoutMS: w.TimeoutMS},
	}
	for _, f := range w.Files {
		c.Files = append(c.Files, File{Kind: f.Kind, Name: f.Name, Prot: f.Prot, Host: f.Host, Addr: f.Addr, Port: f.Port})
	}
	for _, s := range w.Scratch {
		c.Scratch = append(c.Scratch, Scratch{Path: s.Path, Bytes: s.Bytes, Files: s.Files})
	}
	return c, nil
}

func encodeSecrets(secrets []Secret) ([]byte, error) {
	w := make([]secretWire, len(secrets))
	for i, s := range sortSecrets(secrets) {
		w[i] = secretWire{s.Env, s.Name, s.Path}
	}
	return detcbor.Marshal(w)
}

func sortSecrets(secrets []Secret) []Secret {
	s := slices.Clone(secrets)
	slices.SortFunc(s, func(a, b Secret) int { return strings.Compare(a.Name, b.Name) })
	return s
}

func decodeSecrets(b []byte) ([]Secret, error) {
	var w []secretWire
	if err := decode(b, &w); err != nil {
		return nil, err
	}
	if len(w) == 0 {
		return nil, fmt.Errorf("an empty list; the section must be left out instead")
	}
	secrets := make([]Secret, len(w))
	for i, s := range w {
		if i > 0 && s.Name <= w[i-1].Name {
			return nil, fmt.Errorf("%q after %q: names must ascend", clip(s.Name), clip(w[i-1].Name))
		}
		secrets[i] = Secret{Name: s.Name, Env: s.Env, Path: s.Path}
	}
	return secrets, nil
}

func encodeIndex(files []BundleFile) ([]byte, error) {
	w := make([]indexWire, len(files))
	for i, f := range files {
		w[i] = indexWire{Path: f.Path, Dir: f.Dir, Size: uint64(len(f.Data))}
	}
	return detcbor.Marshal(w)
}

func decodeIndex(b []byte) ([]indexWire, error) {
	var w []indexWire
	if err := decode(b, &w); err != nil {
		return nil, err
	}
	if len(w) == 0 {
		return nil, fmt.Errorf("an empty list; the section must be left out instead")
	}
	return w, nil
}
