// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/evidence"
)

func newEvidenceCmd(a *app) *cobra.Command {
	c := group("evidence", "Look into evidence",
		`Evidence is what the hardware of a TEE has signed about a Keep, or about anything
else that runs in one. These commands look into it.`)
	c.AddCommand(newEvidenceInspectCmd(a))
	return c
}

// inspectedEvidence is what `enarx evidence inspect --json` prints.
type inspectedEvidence struct {
	Verified bool             `json:"verified"` // always false
	Format   string           `json:"format"`
	Wrapper  attest.Verdict   `json:"wrapper,omitempty"`
	Pieces   []inspectedPiece `json:"pieces"`
}

type inspectedPiece struct {
	Where    string `json:"where"`
	Platform string `json:"platform"`
}

const nothingVerified = "nothing here is verified: anybody can write such bytes; enarx verify judges them"

func newEvidenceInspectCmd(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "inspect [flags] FILE", Short: "Decode evidence field by field, without judging it",
		Long: `Decode evidence of any known format, or read it from stdin if FILE is -.
Nothing is verified: no signature, no certificate, no date.`,
		Args: oneArg("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			a.ui.jsonErrors = asJSON
			return a.inspectEvidence(args[0], asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) inspectEvidence(path string, asJSON bool) error {
	file, err := a.readInput(path, "the evidence", evidence.MaxFile)
	if err != nil {
		return err
	}
	found, err := evidence.Find(file)
	if err != nil {
		return fail(exitUsage, "", fmt.Errorf("%s: %w", path, err))
	}
	in := &inspectedEvidence{Format: found.Format, Wrapper: found.Rows}
	for _, p := range found.Pieces {
		in.Pieces = append(in.Pieces, inspectedPiece{Where: p.Where, Platform: p.Platform})
	}
	a.ui.warningf("%s", nothingVerified)
	if asJSON {
		return a.writeJSON(in)
	}
	return a.emit("%s", in.text(a.ui.width))
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

func (in *inspectedEvidence) text(width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "format    %s\n", oneLine(in.Format))
	for _, p := range in.Pieces {
		fmt.Fprintf(&b, "platform  %s (%s)\n", oneLine(p.Platform), oneLine(p.Where))
	}
	b.WriteString(in.Wrapper.Text(width))
	return b.String()
}
