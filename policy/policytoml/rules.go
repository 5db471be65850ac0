// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package policytoml

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
)

// floor is one [[tcb.floor]].
type floor struct {
	Platform string            `toml:"platform"`
	Line     string            `toml:"line"`
	FMSPC    string            `toml:"fmspc"`
	Min      map[string]uint64 `toml:"min"`
	From     any               `toml:"from"`
	Note     string            `toml:"note"`
}

// acceptance is one [[tcb.accept]].
type acceptance struct {
	Statuses   []string `toml:"status"`
	Advisories []string `toml:"advisories"`
	Until      any      `toml:"until"`
	Note       string   `toml:"note"`
}

// platforms are those that can be named.
var platforms = []string{attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX, attest.PlatformNitro, attest.PlatformVTPM, attest.PlatformSim}

// engines are the Wasm engines that a Keep can be built with.
var engines = []string{"wasmtime", "wazero"}

func (f *file) policy() (appraisal.Policy, error) {
	var p appraisal.Policy
	if f.Version != version {
		return p, &fault{key: "version", err: fmt.Errorf("%d, expected %d", f.Version, version)}
	}
	if f.Platforms != nil {
		p.Platforms = append([]string{}, *f.Platforms...)
		for _, x := range p.Platforms {
			if !slices.Contains(platforms, x) {
				return p, &fault{key: "platforms", err: fmt.Errorf("%q, expected one of %s", x, strings.Join(platforms, ", "))}
			}
		}
	}
	if f.Engines != nil {
		p.Engines = append([]string{}, *f.Engines...)
		p.Demand |= attest.WaiveMeasurement
		for _, x := range p.Engines {
			if !slices.Contains(engines, x) {
				return p, &fault{key: "engines", err: fmt.Errorf("%q, expected one of %s", x, strings.Join(engines, ", "))}
			}
		}
	}
	for _, name := range f.Demand {
		w := map[string]attest.Waiver{"measurement": attest.WaiveMeasurement, "host-data": attest.WaiveHostData, "report-data": attest.WaiveReportData}[name]
		if w == 0 {
			return p, &fault{key: "demand", err: fmt.Errorf("%q, expected some of measurement, host-data, report-data", name)}
		}
		p.Demand |= w
	}
	if f.Chips != nil {
		p.TCB.Chips = [][]byte{}
		for _, text := range *f.Chips {
			b, err := hex.DecodeString(text)
			if err == nil && len(b) != 64 && len(b) != 32 && len(b) != 16 {
				err = fmt.Errorf("%d bytes, expected 64 (CHIP_ID), 32 (digest of a TPM's key) or 16 (PPID, platform instance id)", len(b))
			}
			if err != nil {
				return p, &fault{key: "chips", err: fmt.Errorf("%.40q: %w", text, err)}
			}
			p.TCB.Chips = append(p.TCB.Chips, b)
		}
		if len(p.TCB.Chips) > maxList {
			return p, &fault{key: "chips", err: fmt.Errorf("%d chips, expected at most %d", len(p.TCB.Chips), maxList)}
		}
	}
	if n := max(len(f.TCB.Floors), len(f.TCB.Accept)); n > maxRules {
		return p, fmt.Errorf("%d rules of one kind, expected at most %d", n, maxRules)
	}
	for i, x := range f.TCB.Floors {
		r, key, err := x.rule()
		if err != nil {
			return p, &fault{"tcb.floor", i, key, err}
		}
		p.Floors = append(p.Floors, r)
	}
	for i, x := range f.TCB.Accept {
		r, key, err := x.rule()
		if err != nil {
			return p, &fault{"tcb.accept", i, key, err}
		}
		p.TCB.Accept = append(p.TCB.Accept, r)
	}
	return p, f.platformTables(&p)
}

// Components that a floor can name.
var (
	snpComponents   = regexp.MustCompile(`^(bootloader|tee|snp|microcode|fmc)$`)
	intelComponents = regexp.MustCompile(`^(pcesvn|qesvn|evaluation|(sgx|tdx)(0[1-9]|1[0-6]))$`)
	fmspcDigits     = regexp.MustCompile(`^[0-9a-f]{12}$`)
	advisoryName    = regexp.MustCompile(`^[A-Z][A-Z0-9-]{3,40}$`)
)

// lines are the product lines of snp.
var lines = []string{"Milan", "Genoa", "Turin"}

func (f *floor) rule() (r appraisal.Floor, key string, err error) {
	if r.From, err = date(f.From); err != nil {
		return r, "from", err
	}
	if err := checkNote(f.Note); err != nil {
		return r, "note", err
	}
	r.Min, r.Note, r.Platform = f.Min, f.Note, f.Platform
	switch {
	case f.Line != "" && f.FMSPC != "":
		return r, "fmspc", errors.New("a floor is of a line or of an FMSPC, not of both")
	case f.Line != "" && !slices.Contains(lines, f.Line):
		return r, "line", fmt.Errorf("%q, expected one of %s", f.Line, strings.Join(lines, ", "))
	case f.Line != "" && f.Platform != "" && f.Platform != attest.PlatformSNP:
		return r, "platform", fmt.Errorf("%q has no line %s", f.Platform, f.Line)
	case f.FMSPC != "" && !fmspcDigits.MatchString(f.FMSPC):
		return r, "fmspc", fmt.Errorf("%q, expected 12 lower-case hexadecimal digits", f.FMSPC)
	case f.Line != "":
		r.Line, r.Platform = f.Line, attest.PlatformSNP
	case f.FMSPC != "":
		r.Line = f.FMSPC
	}
	known := intelComponents
	switch r.Platform {
	case attest.PlatformSNP:
		known = snpComponents
	case attest.PlatformTDX, attest.PlatformSGX:
	default:
		return r, "platform", errors.New("expected line (snp), or platform tdx or sgx, with or without fmspc")
	}
	if f.Min == nil {
		return r, "min", errors.New("missing; an empty table, min = {}, accepts every level of the line")
	}
	for name := range f.Min {
		if !known.MatchString(name) || r.Platform == attest.PlatformSGX && strings.HasPrefix(name, "tdx") {
			return r, "min", fmt.Errorf("component %q, which platform %s does not have; it has %s", name, r.Platform, known)
		}
	}
	return r, "", nil
}

// acceptable are the statuses that may be excused (Intel PCS API, TCB info).
var acceptable = []string{
	"SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate",
	"OutOfDateConfigurationNeeded", "TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded",
}

func (a *acceptance) rule() (r attest.TCBAcceptance, key string, err error) {
	if r.Until, err = date(a.Until); err != nil {
		return r, "until", err
	}
	if err := checkNote(a.Note); err != nil {
		return r, "note", err
	}
	if len(a.Statuses) == 0 {
		return r, "status", errors.New("missing: the statuses that are accepted")
	}
	for _, s := range a.Statuses {
		switch {
		case s == "UpToDate":
			return r, "status", errors.New("UpToDate is accepted anyway")
		case s == "Revoked" || s == "NotSupported":
			return r, "status", fmt.Errorf("%s is never accepted", s)
		case !slices.Contains(acceptable, s):
			return r, "status", fmt.Errorf("%q, expected some of %s", s, strings.Join(acceptable, ", "))
		}
	}
	for _, s := range a.Advisories {
		if !advisoryName.MatchString(s) {
			return r, "advisories", fmt.Errorf("%q, expected names such as INTEL-SA-01036; there is no way to accept all", s)
		}
	}
	if len(a.Advisories) > maxList {
		return r, "advisories", fmt.Errorf("%d advisories, expected at most %d", len(a.Advisories), maxList)
	}
	r.Statuses, r.Advisories, r.Note = a.Statuses, a.Advisories, a.Note
	return r, "", nil
}

func checkNote(s string) error {
	if len(s) > maxNote {
		return fmt.Errorf("%d bytes, expected at most %d", len(s), maxNote)
	}
	return nil
}

// date reads a day, which means its first second in UTC, or a time with its
// offset. A time without one means something else on every machine.
func date(v any) (time.Time, error) {
	switch t := v.(type) {
	case nil:
		return time.Time{}, nil
	case time.Time:
		return t.UTC(), nil
	case toml.LocalDate:
		return t.AsTime(time.UTC), nil
	}
	return time.Time{}, errors.New("expected a day, 2026-03-01, or a time with its offset, 2026-03-01T12:00:00Z, without quotes")
}
