// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import "fmt"

// Package is everything that goes into a bundle.
type Package struct {
	Config Config
	// Module is the Wasm module or component, in binary form.
	Module []byte
	// Files in any order; directories that lead to a file may be left out.
	Files []BundleFile
	// CARoots are the roots for the workload's outgoing TLS, as PEM text,
	// or empty for the Keep's own set.
	CARoots []byte
	// Precompiled is code compiled from Module ahead of time, or empty. It
	// is not covered by the bundle's digest. This version carries it and
	// gives it no meaning.
	Precompiled []byte
}

// Pack makes the bundle of p: the one sequence of bytes that stands for it
// (SPEC.md). It checks everything that [Parse] checks and reads its own output
// back before it returns it. p is not changed, and the result shares no memory
// with it.
func Pack(p Package) ([]byte, error) {
	if err := p.Config.Validate(); err != nil {
		return nil, err
	}
	sections, err := p.sections()
	if err != nil {
		return nil, err
	}
	total := uint64(headerSize)
	for _, s := range sections {
		if s.size > s.typ.max() {
			return nil, fmt.Errorf("workload: packing: %s has %d bytes, at most %d are allowed", s.typ, s.size, s.typ.max())
		}
		total += entrySize + s.size
	}
	if total > MaxBundleSize {
		return nil, fmt.Errorf("workload: packing: the bundle has %d bytes, at most %d are allowed", total, MaxBundleSize)
	}
	b := assemble(sections)
	if _, err := Parse(b); err != nil {
		return nil, fmt.Errorf("workload: packing: the bundle does not read back: %w", err)
	}
	return b, nil
}

// sections encodes p, in the order of the section types.
func (p Package) sections() ([]section, error) {
	if len(p.Module) == 0 {
		return nil, fmt.Errorf("workload: packing: the module is empty; expected a Wasm module")
	}
	config, err := encodeConfig(p.Config)
	if err != nil {
		return nil, fmt.Errorf("workload: packing the configuration: %w", err)
	}
	out := []section{newSection(SectionConfig, config), newSection(SectionModule, p.Module)}
	files, err := normalFiles(p.Files)
	if err != nil {
		return nil, err
	}
	if err := checkPlaces(p.Config, files); err != nil {
		return nil, fmt.Errorf("workload: packing: %w", err)
	}
	if len(files) > 0 {
		index, err := encodeIndex(files)
		if err != nil {
			return nil, fmt.Errorf("workload: packing the file index: %w", err)
		}
		out = append(out, newSection(SectionFileIndex, index))
		if data := dataOf(files); data.size > 0 {
			out = append(out, data)
		}
	}
	if len(p.CARoots) > 0 {
		roots, err := normalRoots(p.CARoots)
		if err != nil {
			return nil, fmt.Errorf("workload: packing CA roots: %w", err)
		}
		out = append(out, newSection(SectionCARoots, roots))
	}
	if len(p.Config.Secrets) > 0 {
		secrets, err := encodeSecrets(p.Config.Secrets)
		if err != nil {
			return nil, fmt.Errorf("workload: packing secret names: %w", err)
		}
		out = append(out, newSection(SectionSecrets, secrets))
	}
	if len(p.Precompiled) > 0 {
		out = append(out, newSection(SectionPrecompiled, p.Precompiled))
	}
	return out, nil
}

func dataOf(files []BundleFile) section {
	parts := make([][]byte, 0, len(files))
	for _, f := range files {
		parts = append(parts, f.Data)
	}
	return newSection(SectionFileData, parts...)
}
