// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/keep/session"
)

// inspection is what `enarx inspect --json` prints. What is attested or sealed
// stands apart from what the host says.
type inspection struct {
	Name     string `json:"name"`
	Platform string `json:"platform"`
	Bundle   string `json:"bundle"`
	Host     string `json:"host"`
	Created  string `json:"created"`
	Owner    string `json:"owner"`
	// Running is what the Keep itself says now, under fresh evidence.
	Running *runningInfo `json:"running,omitempty"`
	// Ended is from the record that the Keep sealed to the owner.
	Ended     *endedInfo     `json:"ended,omitempty"`
	Verdict   attest.Verdict `json:"verdict,omitempty"`
	Statement []attest.Layer `json:"statement,omitempty"`
	// Hearsay is what the agent says; nobody vouches for it.
	Hearsay *api.Inspect `json:"hearsay,omitempty"`
}

type runningInfo struct {
	State       string       `json:"state"`
	Started     string       `json:"started,omitempty"`
	Now         string       `json:"now,omitempty"`
	OutputBytes uint64       `json:"output_bytes"`
	LostBytes   uint64       `json:"lost_bytes"`
	Ports       []portResult `json:"ports,omitempty"`
	// Certificate is the workload's TLS certificate (PEM); its key is the
	// identity key that the evidence names.
	Certificate string `json:"certificate,omitempty"`
	certSHA256  string
}

type endedInfo struct {
	Exit      exitResult `json:"exit"`
	Started   string     `json:"started,omitempty"`
	Ended     string     `json:"ended,omitempty"`
	LostBytes uint64     `json:"lost_bytes"`
}

func newInspectCmd(a *app) *cobra.Command {
	var f ownerFlags
	var cert string
	c := &cobra.Command{
		Use:   "inspect [flags] DEPLOYMENT",
		Short: "Show the state of a deployment, attested afresh",
		Long: `Attest the Keep of a deployment again and show what it says about itself, apart
from what its host says. If it has ended, show how, from the sealed record that
it left.`,
		Args:              oneArg("DEPLOYMENT"),
		ValidArgsFunction: completeDeployment,
		RunE:              func(c *cobra.Command, args []string) error { return a.inspect(c.Context(), args[0], &f, cert) },
	}
	f.add(c, "print JSON")
	c.Flags().StringVar(&cert, "cert", "", "write the workload's TLS certificate to `FILE`")
	return c
}

func (a *app) inspect(ctx context.Context, arg string, f *ownerFlags, cert string) error {
	ctx, _, _, stop := relaySignals(ctx)
	defer stop()
	h, err := a.hold(ctx, arg, f)
	if err != nil {
		return err
	}
	o := h.owner
	in := &inspection{Name: o.name(), Platform: o.Platform, Bundle: o.Bundle, Host: o.Host, Created: o.Created, Owner: o.path, Hearsay: h.Hearsay}
	if h.ended() {
		err = h.inspectEnded(ctx, in)
	} else if err = h.inspectRunning(ctx, in); h.endedMeanwhile(ctx, err) {
		in.Hearsay = h.Hearsay
		err = h.inspectEnded(ctx, in)
	}
	if err != nil {
		return err
	}
	if cert != "" {
		if in.Running == nil || in.Running.Certificate == "" {
			return failf(exitUsage, "", "--cert: the workload does not run, so it has no certificate")
		}
		if err := writeFile(cert, "the certificate", []byte(in.Running.Certificate), 0o644, false); err != nil {
			return err
		}
	}
	if f.json {
		return a.writeJSON(in)
	}
	return a.emit("%s", in.text(a.ui.width))
}

func (h *held) inspectRunning(ctx context.Context, in *inspection) error {
	s, ap, err := h.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	st, err := s.Status(h.key)
	if err != nil {
		return sessionError(ctx, err)
	}
	in.Verdict, in.Statement = ap.Verdict, ap.Statement
	r := &runningInfo{
		State: oneLine(st.State), Started: keepTime(st.StartedNS), Now: keepTime(st.NowNS),
		OutputBytes: st.OutputBytes, LostBytes: st.LostBytes,
	}
	for _, p := range st.Ports {
		r.Ports = append(r.Ports, portResult(p))
	}
	if err := r.setCertificate(st, ap.Message.IdentityKey); err != nil {
		return err
	}
	in.Running = r
	return nil
}

// setCertificate takes the certificate only if its key is the attested one.
func (r *runningInfo) setCertificate(st *session.Status, identity []byte) error {
	if len(st.IdentityCert) == 0 {
		return nil
	}
	c, err := x509.ParseCertificate(st.IdentityCert)
	if err != nil {
		return failf(exitAttest, "do not trust this Keep", "the identity certificate does not parse: %w", err)
	}
	if string(c.RawSubjectPublicKeyInfo) != string(identity) {
		return failf(exitAttest, "do not trust this Keep", "the identity certificate is not of the identity key that the evidence names")
	}
	sum := sha256.Sum256(c.Raw)
	r.certSHA256 = hex.EncodeToString(sum[:])
	r.Certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	return nil
}

func (h *held) inspectEnded(ctx context.Context, in *inspection) error {
	rec, err := h.record(ctx)
	if err != nil {
		return err
	}
	in.Ended = &endedInfo{
		Exit: h.a.outcome(&rec.Exit), Started: keepTime(rec.StartedNS), Ended: keepTime(rec.EndedNS), LostBytes: rec.Lost,
	}
	return nil
}

// text shows an inspection to a person.
func (in *inspection) text(width int) string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s%s\n", name, oneLine(fmt.Sprintf(format, args...)))
	}
	row("name", "%s", in.Name)
	row("bundle", "%s", in.Bundle)
	row("platform", "%s", in.Platform)
	row("host", "%s", in.Host)
	row("deployed", "%s", in.Created)
	if r := in.Running; r != nil {
		row("state", "%s since %s, says the Keep", r.State, r.Started)
		row("output", "%d bytes, %d of them no longer there", r.OutputBytes, r.LostBytes)
		for _, p := range r.Ports {
			row("listens", "%s port %d is %s on the host, as the host says", p.Name, p.Guest, p.Bound)
		}
		if r.certSHA256 != "" {
			row("certificate", "sha256:%s", r.certSHA256)
		}
	}
	if e := in.Ended; e != nil {
		row("state", "ended at %s, started at %s, says the Keep", e.Ended, e.Started)
		row("exit", "code %d by %s%s", e.Exit.Code, e.Exit.By, reasonSuffix(e.Exit.Reason))
		if e.LostBytes > 0 {
			row("output", "the first %d bytes are no longer there", e.LostBytes)
		}
	}
	if h := in.Hearsay; h != nil {
		row("host says", "%s since %s", h.State, h.Created.UTC().Format(time.RFC3339))
	}
	if in.Verdict != nil {
		b.WriteString("\n" + in.Verdict.Text(width) + "\n" + attest.TrustText(in.Statement, width))
	}
	return b.String()
}

func reasonSuffix(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}
