// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package policytoml

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/enarx/enarx-go/attest/appraisal"
)

// Limits on what comes from outside.
const (
	// MaxSize bounds the file in bytes. A list of some thousand chips, 130
	// characters each, fits.
	MaxSize = 1 << 20
	// maxRules bounds floors and acceptances, each.
	maxRules = 1024
	// maxNote bounds a note in bytes; it is shown in rows.
	maxNote = 200
	// maxLists bounds every other list: chips, keys, providers.
	maxList = 1 << 14
)

// version of the format.
const version = 1

// file is the text of a policy file.
type file struct {
	Version   int       `toml:"version"`
	Platforms *[]string `toml:"platforms"`
	Engines   *[]string `toml:"engines"`
	Demand    []string  `toml:"demand"`
	Chips     *[]string `toml:"chips"`
	TCB       struct {
		Floors []floor      `toml:"floor"`
		Accept []acceptance `toml:"accept"`
	} `toml:"tcb"`
	SNP   *snpTable   `toml:"snp"`
	TDX   *tdxTable   `toml:"tdx"`
	SGX   *sgxTable   `toml:"sgx"`
	Nitro *nitroTable `toml:"nitro"`
	VTPM  *vtpmTable  `toml:"vtpm"`
}

// Parse reads a policy file. name is for messages.
func Parse(name string, text []byte) (appraisal.Policy, error) {
	if len(text) > MaxSize {
		return appraisal.Policy{}, fmt.Errorf("%s: %d bytes, expected at most %d", name, len(text), MaxSize)
	}
	var f file
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return appraisal.Policy{}, decodeError(name, err)
	}
	p, err := f.policy()
	if err != nil {
		var at *fault
		if errors.As(err, &at) {
			return appraisal.Policy{}, fmt.Errorf("%s:%d: %s: %w", name, at.line(text), at.where(), at.err)
		}
		return appraisal.Policy{}, fmt.Errorf("%s: %w", name, err)
	}
	sum := sha256.Sum256(text)
	p.Digest = &sum
	return p, nil
}

// decodeError words what the TOML library found, one line per fault.
func decodeError(name string, err error) error {
	var missing *toml.StrictMissingError
	var decode *toml.DecodeError
	switch {
	case errors.As(err, &missing):
		var lines []string
		for _, e := range missing.Errors {
			line, _ := e.Position()
			lines = append(lines, fmt.Sprintf("%s:%d: key %s is not known; docs/policy.md has the list", name, line, strings.Join(e.Key(), ".")))
		}
		return errors.New(strings.Join(lines, "\n"))
	case errors.As(err, &decode):
		line, _ := decode.Position()
		return fmt.Errorf("%s:%d: %s", name, line, strings.TrimPrefix(decode.Error(), "toml: "))
	}
	return fmt.Errorf("%s: %w", name, err)
}

// fault is a value that is well-formed TOML and makes no sense.
type fault struct {
	table string // "tcb.floor", "" for the top
	index int    // of an array of tables
	key   string
	err   error
}

func (f *fault) Error() string { return f.where() + ": " + f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func (f *fault) where() string {
	if f.table == "" {
		return f.key
	}
	return f.table + "." + f.key
}

// line finds the key, or else the header of its table. A spelling that is not
// the usual one (dotted keys, inline tables) falls back on the first line.
func (f *fault) line(text []byte) int {
	header, n, start := "", 0, f.table == ""
	best := 1
	for i, line := range bytes.Split(text, []byte("\n")) {
		line := strings.TrimSpace(string(line))
		if strings.HasPrefix(line, "[") {
			header = strings.TrimSpace(strings.Trim(strings.SplitN(line, "#", 2)[0], "[] \t"))
			if start = header == f.table && n == f.index; header == f.table {
				n++
			}
			if start {
				best = i + 1
			}
			continue
		}
		key, _, ok := strings.Cut(line, "=")
		if start && ok && strings.Trim(key, " \t\"'") == f.key {
			return i + 1
		}
	}
	return best
}
