// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
)

// Yes says that the evidence is accepted and that this is no news: the verdict
// is the recorded one, or was asked for at another time than that one was. A
// verdict that changed at its own time is never a yes, whatever it says, for
// something about the bundle or the verifier is not as it was.
func (o *Outcome) Yes() bool {
	return o.Result.Accepted && (o.Same || !o.Result.At.Equal(o.Recorded))
}

// wireOutcome is an outcome in JSON.
type wireOutcome struct {
	Bundle       string          `json:"bundle"`
	Maker        string          `json:"maker"`
	PolicyDigest string          `json:"policy_sha256,omitempty"`
	RecordedAt   string          `json:"recorded_at"`
	Same         bool            `json:"same"`
	Changes      []Change        `json:"changes"`
	NotCounted   []string        `json:"not_counted"`
	Result       json.RawMessage `json:"result"`
}

// JSON is the outcome for programs: one object, indented, with a line end.
// "bundle" is the digest that names the bundle, SHA-256 in hexadecimal, and
// "result" the verdict of now as package appraisal writes it.
func (o *Outcome) JSON() ([]byte, error) {
	w := wireOutcome{
		Bundle: hex.EncodeToString(o.Bundle[:]), Maker: o.Maker, RecordedAt: o.Recorded.Format(time.RFC3339),
		Same: o.Same, Changes: o.Changes, NotCounted: o.NotCounted, Result: o.Verdict,
	}
	if o.Policy != nil {
		w.PolicyDigest = hex.EncodeToString(o.Policy[:])
	}
	if w.Changes == nil {
		w.Changes = []Change{}
	}
	if w.NotCounted == nil {
		w.NotCounted = []string{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(w); err != nil {
		return nil, fmt.Errorf("encoding the outcome of a replay: %w", err)
	}
	return b.Bytes(), nil
}

// Text is the outcome for people, in lines of at most width characters: the
// verdict of now, then whether it is the recorded one.
func (o *Outcome) Text(width int) string {
	var b strings.Builder
	b.WriteString(o.Result.Text(width) + "\n")
	head := "the recorded verdict of " + o.Recorded.Format(time.RFC3339)
	switch at := o.Result.At.Equal(o.Recorded); {
	case o.Same && at:
		b.WriteString(attest.Wrap("SAME: "+head+", byte for byte", "", width))
	case o.Same:
		b.WriteString(attest.Wrap("SAME: "+head+", but for the time", "", width))
	default:
		b.WriteString(attest.Wrap(fmt.Sprintf("CHANGED: %d differences from %s:", len(o.Changes), head), "", width))
		b.WriteString(o.changesText(width))
		if at {
			b.WriteString(attest.Wrap("made by "+o.Maker+"; if that is not this version, versions judge differently; if it is, the bundle was altered "+
				"or roots, keys or verifiers are not those of then", "", width))
		}
	}
	for _, s := range o.NotCounted {
		b.WriteString(attest.Wrap("not counted: "+s, "", width))
	}
	if o.Policy != nil {
		b.WriteString(attest.Wrap(fmt.Sprintf("policy: sha256:%x", *o.Policy), "", width))
	}
	return b.String()
}

// changesText tells the changes one by one, but those of the trust statement in
// one line if there are others: it follows from the rows.
func (o *Outcome) changesText(width int) string {
	var b strings.Builder
	var layers []string
	for _, c := range o.Changes {
		if c.Part == "trust" {
			layers = append(layers, c.Name)
		}
	}
	for _, c := range o.Changes {
		if c.Part != "trust" || len(layers) == len(o.Changes) {
			b.WriteString(c.Text(width))
		}
	}
	if len(layers) > 0 && len(layers) < len(o.Changes) {
		b.WriteString(attest.Wrap("and with them the trust statement: "+strings.Join(layers, ", "), "  ", width))
	}
	return b.String()
}
