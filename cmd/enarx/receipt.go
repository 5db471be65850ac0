// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
	"github.com/enarx/enarx-go/audit"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/policy"
	"github.com/enarx/enarx-go/sallyport"
)

// writeReceipt signs the record of the deployment with its owner key, when the
// workload runs and the Keep has shown so.
func (d *deployment) writeReceipt(st *client.Started) error {
	if d.f.receipt == "" {
		return nil
	}
	if st.Running == nil {
		return failf(exitInternal, "", "writing the receipt: there is no evidence of the running Keep")
	}
	pub := d.key.Public()
	before, err := receiptSession(d.judged)
	if err != nil {
		return err
	}
	after, err := receiptSession(st.Running)
	if err != nil {
		return err
	}
	r := &audit.Receipt{
		Time: d.demand.At.UTC().Truncate(time.Second), Platform: d.created.Platform, Bundle: d.work.Digest.String(),
		Keep:  strings.TrimPrefix(d.expectedKeep(), "sha256:"),
		Owner: audit.Owner{Sign: pub.Sign, Seal: pub.Seal}, Before: before, After: &after,
		Decision: policy.Decide(d.judged.Claims, d.f.rule()), Statement: d.judged.Statement,
	}
	for _, c := range appraisal.Choose(r.Platform, d.judged.Message.Evidence, d.demand.Collateral, d.demand.At) {
		r.Collateral = append(r.Collateral, audit.Item{Type: c.MediaType, Value: c.Value})
	}
	signed, err := audit.Sign(r, d.key.Sign)
	if err != nil {
		return failf(exitInternal, "", "signing the receipt: %w", err)
	}
	return writeFile(d.f.receipt, "the receipt", signed, 0o600, false)
}

func receiptSession(ap *client.Appraisal) (audit.Session, error) {
	m, err := ap.Message.Encode()
	if err != nil {
		return audit.Session{}, failf(exitInternal, "", "encoding the evidence for the receipt: %w", err)
	}
	return audit.Session{
		Role: attest.KeepServer, Binding: ap.Binding[:], ChannelKey: ap.ChannelKey, Message: m, Rows: ap.Verdict,
	}, nil
}

// checkReceipt refuses a receipt of a deployment that nothing was proved about.
func (f *deployFlags) checkReceipt() error {
	if f.receipt != "" && f.noTEE {
		return failf(exitUsage, "leave --receipt out", "--receipt: there is no evidence on platform %s, so there is nothing to give a receipt for", f.platform)
	}
	return nil
}

// receiptInfo is what `receipt verify --json` prints.
type receiptInfo struct {
	OK        bool           `json:"ok"`
	Time      string         `json:"time"` // the owner's word
	Platform  string         `json:"platform"`
	Bundle    string         `json:"bundle"`
	OwnerKey  string         `json:"owner_key"` // Ed25519, hexadecimal
	OwnerHash string         `json:"owner_key_hash"`
	Running   bool           `json:"running"` // there is evidence that the bundle ran
	Rows      attest.Verdict `json:"rows"`
	Statement []attest.Layer `json:"statement"`
}

func newReceiptCmd(a *app) *cobra.Command {
	c := group("receipt", "Check the receipts of deployments",
		`A receipt (enarx deploy --receipt FILE) is the signed record of one deployment,
with the evidence that it rests on.`)
	c.AddCommand(newReceiptVerifyCmd(a))
	return c
}

func newReceiptVerifyCmd(a *app) *cobra.Command {
	var f trustFlags
	var asJSON bool
	c := &cobra.Command{
		Use: "verify [flags] RECEIPT", Short: "Check a receipt again, offline, under your own roots and reference values",
		Long: `Check a receipt: its signature by the owner key in it, and the recorded evidence
once more, from the hardware's signature to the Keep's own fields, under roots and
reference values of your own. What the receipt says about itself decides nothing.

A receipt does not prove who its owner is, and its time is the owner's word. On platform
vtpm that the evidence is a TPM's is the owner's word, too: such a receipt is refused
unless your --policy takes it (accept_unproven_activation).`,
		Args: oneArg("RECEIPT"),
		RunE: func(_ *cobra.Command, args []string) error {
			a.ui.jsonErrors = asJSON
			return a.verifyReceipt(args[0], &f, asJSON)
		},
	}
	c.Flags().StringArrayVar(&f.reference, "reference", nil, "accept only the Keep releases in this `FILE` of signed reference values (repeatable)")
	c.Flags().StringArrayVar(&f.referenceKey, "reference-key", nil, "`FILE` of the public keys that may sign them (repeatable)")
	c.Flags().StringArrayVar(&f.collateral, "collateral", nil, "directory or file `PATH` of certificates, revocation lists and Intel's documents, beside those in the receipt (repeatable)")
	c.Flags().StringVar(&f.policy, "policy", "", "hold the evidence against the policy in this `FILE` (TOML)")
	c.Flags().StringArrayVar(&f.tpmRoot, "tpm-root", nil, "check a receipt of platform vtpm with TPMs under the roots in `FILE` (repeatable)")
	c.Flags().StringVar(&f.simRoot, "insecure-sim-root", "", "check a receipt of platform sim under the throw-away root in `FILE`")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) verifyReceipt(path string, f *trustFlags, asJSON bool) error {
	signed, err := readLimited(path, "the receipt", audit.MaxReceipt, exitUsage)
	if err != nil {
		return err
	}
	r, err := audit.Open(signed)
	if err != nil {
		return fail(exitAttest, "do not believe this receipt", fmt.Errorf("%s: %w", path, err))
	}
	d, err := a.verifiers(f)
	if err != nil {
		return err
	}
	refs, err := a.references(f, r.Time)
	if err != nil {
		return err
	}
	v := verifierFor(d.Verifiers, r.Platform)
	if v == nil {
		hint := "use an enarx that has one"
		if r.Platform == attest.PlatformSim {
			hint = "name the root with --insecure-sim-root FILE; it proves nothing about the host"
		}
		if r.Platform == attest.PlatformVTPM {
			hint = "name the root of the TPM's maker with --tpm-root FILE"
		}
		return failf(exitAttest, hint, "this command has no verifier for platform %s, of which the receipt is", oneLine(r.Platform))
	}
	start := sallyport.StartConfig{Mode: sallyport.ModePush, Platform: r.Platform}
	for _, c := range d.Collateral {
		r.Collateral = append(r.Collateral, audit.Item{Type: c.MediaType, Value: c.Value})
	}
	res := r.Recheck(v, start.Digest(), refs, d.TCB)
	res.Rows = append(res.Rows, f.decideAgain(&res)...)
	owner, err := r.Owner.Hash()
	if err != nil {
		return fail(exitAttest, "do not believe this receipt", fmt.Errorf("%s: %w", path, err))
	}
	ok := res.Before != nil && res.Rows.OK()
	info := receiptInfo{
		OK: ok, Time: r.Time.UTC().Format(time.RFC3339), Platform: r.Platform, Bundle: r.Bundle,
		OwnerKey: hex.EncodeToString(r.Owner.Sign), OwnerHash: hex.EncodeToString(owner[:]), Running: res.After != nil, Rows: res.Rows,
		Statement: attest.TrustStatement(r.Platform, res.Before, nil, res.Rows),
	}
	if asJSON {
		err = a.writeJSON(info)
	} else {
		err = a.emit("%s", info.text(a.ui.width))
	}
	if err != nil {
		return err
	}
	if !ok {
		hint := "do not believe this receipt"
		if lead := res.Rows.Lead(); lead != nil && lead.Check == "policy" {
			hint += " until your policy says that you do"
		}
		return fail(exitAttest, hint, fmt.Errorf("%s: %w", path, res.Rows.Err()))
	}
	a.warnPlatform(r.Platform)
	return nil
}

// decideAgain is the reader's own decision about the claims of a receipt.
func (f *trustFlags) decideAgain(res *audit.Result) (rows attest.Verdict) {
	rule := f.rule()
	rule.AcceptUnprovenActivation = f.unproven // nobody can be asked any more
	for _, c := range []*attest.Claims{res.Before, res.After} {
		if c == nil {
			continue
		}
		unproven := slices.Contains(c.Waived, "activation")
		dec := policy.Decide(c, rule)
		row := attest.Row{
			Check: "policy", Seen: strings.Join(dec.Reasons, "; "), Expected: "claims that the reader's policy accepts", Source: "the reader",
			Outcome: attest.Fail, Reason: attest.ReasonPolicy, Todo: "do not accept this Keep, or name what may be accepted with --policy",
		}
		switch {
		case dec.Allow && !unproven:
			continue
		case dec.Allow:
			row.Seen, row.Outcome, row.Reason, row.Source = "that this was a TPM is the owner's word, who alone could see its activation", attest.Warn, "", f.policy
			row.Todo = "believe this receipt as far as you believe the holder of its owner key"
		case unproven:
			row.Todo = "that it was a TPM is the owner's word, and all else rests on it; to take that word set accept_unproven_activation = true in [vtpm] of --policy"
		}
		if !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
	}
	return rows
}

func verifierFor(vs []attest.Verifier, platform string) attest.Verifier {
	for _, v := range vs {
		if v.Platform() == platform {
			return v
		}
	}
	return nil
}

func (i *receiptInfo) text(width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "bundle     %s\nplatform   %s\ntime       %s, says the owner\nowner key  ed25519:%s\nits hash   %s\n", i.Bundle, oneLine(i.Platform), i.Time, i.OwnerKey, i.OwnerHash)
	if i.Running {
		b.WriteString("running    the Keep showed that it ran this bundle for this owner\n")
	}
	b.WriteString("\n" + i.Rows.Text(width) + "\n" + attest.TrustText(i.Statement, width))
	return b.String()
}
