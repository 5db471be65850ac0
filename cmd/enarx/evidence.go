// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/evidence"
)

func newEvidenceCmd(a *app) *cobra.Command {
	c := group("evidence", "Look into evidence",
		`Evidence is what the hardware of a TEE has signed about a Keep, or about anything
else that runs in one. These commands look into it.`)
	c.AddCommand(newEvidenceInspectCmd(a), newEvidenceDiffCmd(a))
	c.AddCommand(newEvidenceBundleCmd(a), newEvidenceReplayCmd(a))
	return c
}

// exitDiffer is the code of `evidence diff` if the two differ, as of diff(1).
const exitDiffer = 1

// nothingVerified is said on every look into evidence.
const nothingVerified = "nothing here is verified: anybody can write such bytes. To have them judged: enarx verify"

// inspectedEvidence is what `enarx evidence inspect --json` prints.
type inspectedEvidence struct {
	// Verified is always false, so that no program takes this for a verdict.
	Verified bool   `json:"verified"`
	Format   string `json:"format"`
	// Wrapper are the checks of the wrapping that need no trust.
	Wrapper attest.Verdict  `json:"wrapper,omitempty"`
	Items   []inspectedItem `json:"items"`
	shown   map[string]bool // collateral among Items
}

// inspectedItem is a piece of evidence, or an entry of the collateral.
type inspectedItem struct {
	Role  string `json:"role"` // "evidence", "wrapping" or "collateral"
	Where string `json:"where,omitempty"`
	// What the wrapping says the evidence is bound to, hexadecimal.
	ReportData       string `json:"bound_report_data,omitempty"`
	ReportDataSource string `json:"bound_report_data_source,omitempty"`
	*evidence.Description
	// Error says why it could not be decoded.
	Error string `json:"error,omitempty"`
}

func newEvidenceInspectCmd(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "inspect [flags] FILE", Short: "Decode evidence field by field, without judging it",
		Long: `Decode evidence or collateral of any known format, field by field: what it says,
where that stands, and what it means for trust. FILE is - for stdin.

Nothing is verified: no signature, no certificate, no date.`,
		Args: oneArg("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			a.ui.jsonErrors = asJSON
			in, err := a.inspectFile(args[0])
			if err != nil {
				return err
			}
			a.ui.warningf("%s", nothingVerified)
			if asJSON {
				return a.writeJSON(in)
			}
			return a.emit("%s", in.text(a.ui.width))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func newEvidenceDiffCmd(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "diff [flags] OLD NEW", Short: "Compare two files of evidence or collateral field by field",
		Long: `Compare two files of evidence or of collateral, of any known format, and say in
words what has changed from the first to the second.

Nothing is verified: no signature, no certificate, no date.

Exit codes: 0 if what was decoded is the same, 1 if it differs, 121 if a file
cannot be read as evidence or collateral.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return failf(exitUsage, "see "+c.CommandPath()+" --help", "%d files to compare: expected %s", len(args), c.UseLine())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			a.ui.jsonErrors = asJSON
			return a.diffEvidence(args[0], args[1], asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// evidenceDiff is what `enarx evidence diff --json` prints.
type evidenceDiff struct {
	Verified bool              `json:"verified"` // always false
	Equal    bool              `json:"equal"`
	Changes  []evidence.Change `json:"changes"`
}

func (a *app) diffEvidence(oldPath, newPath string, asJSON bool) error {
	if oldPath == "-" && newPath == "-" {
		return failf(exitUsage, "name a file for one of them", "both files are stdin")
	}
	var described [2][]*evidence.Description
	for i, path := range []string{oldPath, newPath} {
		in, err := a.inspectFile(path)
		if err != nil {
			return err
		}
		for _, it := range in.Items {
			if it.Description == nil {
				return failf(exitUsage, "", "%s: %s", path, it.Error)
			}
			described[i] = append(described[i], it.Description)
		}
	}
	d := &evidenceDiff{Changes: evidence.Diff(described[0], described[1])}
	d.Equal = len(d.Changes) == 0
	a.ui.warningf("%s", nothingVerified)
	if !d.Equal {
		a.exit = exitDiffer
	}
	if asJSON {
		return a.writeJSON(d)
	}
	return a.emit("%s", d.text(a.ui.width))
}

// inspectFile decodes a file of evidence, or else of collateral.
func (a *app) inspectFile(path string) (*inspectedEvidence, error) {
	file, err := a.readInput(path, "the evidence", evidence.MaxFile)
	if err != nil {
		return nil, err
	}
	found, err := evidence.Find(file)
	if err == nil {
		in := inspectFound(found)
		if d, err := evidence.DescribeWrapper(file); err == nil {
			in.Items = append(in.Items, inspectedItem{Role: "wrapping", Where: "the whole file", Description: d})
		}
		return in, nil
	}
	if errors.Is(err, evidence.ErrUnsupported) {
		if d, wrapErr := evidence.DescribeWrapper(file); wrapErr == nil {
			d.Notes = append(d.Notes, "There is no verifier for it yet.")
			return &inspectedEvidence{Format: d.Kind, Items: []inspectedItem{{Role: "evidence", Where: "the whole file", Description: d}}}, nil
		}
	}
	if !errors.Is(err, evidence.ErrUnknown) {
		return nil, fail(exitUsage, "", fmt.Errorf("%s: %w", path, err))
	}
	col, colErr := evidence.FindCollateral(file)
	if colErr != nil {
		return nil, fail(exitUsage, "", fmt.Errorf("%s: %w, and %w", path, err, colErr))
	}
	in := &inspectedEvidence{Format: "collateral"}
	in.addCollateral(col)
	return in, nil
}

func inspectFound(found *evidence.Found) *inspectedEvidence {
	in := &inspectedEvidence{Format: found.Format, Wrapper: found.Rows}
	for _, p := range found.Pieces {
		it := inspectedItem{Role: "evidence", Where: p.Where, ReportDataSource: p.ReportDataSource}
		if p.ReportData != nil {
			it.ReportData = hex.EncodeToString(p.ReportData[:])
		}
		it.describe(evidence.Describe(p))
		in.Items = append(in.Items, it)
		in.addCollateral(p.Collateral)
	}
	return in
}

// addCollateral adds what is not there yet: pieces of one file share theirs.
func (in *inspectedEvidence) addCollateral(col attest.Collateral) {
	for _, e := range col {
		key := e.MediaType + "\x00" + string(e.Value)
		if in.shown[key] {
			continue
		}
		if in.shown == nil {
			in.shown = map[string]bool{}
		}
		in.shown[key] = true
		it := inspectedItem{Role: "collateral"}
		it.describe(evidence.DescribeCollateral(e))
		in.Items = append(in.Items, it)
	}
}

func (it *inspectedItem) describe(d *evidence.Description, err error) {
	it.Description = d
	if err != nil {
		it.Error = err.Error()
	}
}

// readInput reads a file, or stdin if path is "-".
func (a *app) readInput(path, what string, limit int64) ([]byte, error) {
	if path != "-" {
		return readLimited(path, what, limit, exitUsage)
	}
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(io.LimitReader(a.stdin, limit+1)); err != nil {
		return nil, failf(exitUsage, "", "reading %s from stdin: %w", what, err)
	}
	if int64(buf.Len()) > limit {
		return nil, failf(exitUsage, "", "reading %s: stdin has more than the accepted %d bytes", what, limit)
	}
	return buf.Bytes(), nil
}
