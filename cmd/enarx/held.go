// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/session"
)

// ownerFlags are the flags of the commands that look after a deployment. What
// its platform does not prove has to be accepted again on each of them.
type ownerFlags struct {
	trustFlags
	json  bool
	quiet bool
}

func (f *ownerFlags) add(c *cobra.Command, jsonHelp string) {
	f.trustFlags.add(c)
	c.Flags().BoolVar(&f.json, "json", false, jsonHelp)
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "show no progress; warnings stay")
}

// held is a deployment that its owner looks after.
type held struct {
	a     *app
	f     *ownerFlags
	owner *ownerFile
	key   *session.OwnerKey
	agent *client.Client
	// Hearsay is what the agent says of the Keep; nil if it knows none.
	Hearsay *api.Inspect
}

// hold reads the owner file and asks the agent how things stand. What it says
// decides only where to look: in the Keep, or in the record that it left.
func (a *app) hold(ctx context.Context, arg string, f *ownerFlags) (*held, error) {
	a.ui.jsonErrors, a.ui.quiet = f.json, f.json || f.quiet
	h := &held{a: a, f: f}
	var err error
	if h.owner, err = readOwner(arg); err != nil {
		return nil, err
	}
	if h.key, err = h.owner.key(); err != nil {
		return nil, err
	}
	if h.agent, err = h.owner.agent(); err != nil {
		return nil, err
	}
	h.Hearsay, err = h.agent.Inspect(ctx, h.owner.Keep, h.owner.Capability)
	if isGone(err) {
		return h, nil
	}
	return h, sessionError(ctx, err)
}

func isGone(err error) bool {
	var p *client.ProblemError
	return errors.As(err, &p) && p.Problem.Code == api.CodeNotFound
}

// ended says that there is no Keep to talk to any more, as the host says.
func (h *held) ended() bool { return h.Hearsay == nil || h.Hearsay.State == api.StateEnded }

// settleTime bounds the wait for the agent to notice the end of a Keep that has
// said its last word; it notices when the process is gone.
const settleTime = 5 * time.Second

// settle waits until the agent says that the Keep has ended.
func (h *held) settle(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		k, err := h.agent.Inspect(ctx, h.owner.Keep, h.owner.Capability)
		switch {
		case err == nil:
			h.Hearsay = k
		case isGone(err):
			h.Hearsay = nil
		default:
			return false
		}
		if h.ended() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// endedMeanwhile says that a session failed because the Keep has ended since
// the agent was asked.
func (h *held) endedMeanwhile(ctx context.Context, err error) bool {
	var ce *cliError
	if ctx.Err() != nil || !errors.As(err, &ce) || ce.code != exitAgent && ce.code != exitKeep {
		return false
	}
	return h.settle(ctx)
}

// open makes an attested session with the Keep of the deployment and no other:
// same channel key, fresh evidence that it runs this bundle for this owner.
func (h *held) open(ctx context.Context) (*client.Session, *client.Appraisal, error) {
	d, err := h.demand()
	if err != nil {
		return nil, nil, err
	}
	tunnel, err := h.agent.Attach(ctx, h.owner.Keep, h.owner.Capability)
	if err != nil {
		return nil, nil, sessionError(ctx, err)
	}
	s, err := client.Connect(ctx, tunnel)
	if err != nil {
		return nil, nil, sessionError(ctx, err)
	}
	ap, err := s.Appraise(d)
	if err != nil {
		s.Close()
		var refused *client.RefusedError
		if errors.As(err, &refused) && !h.f.json {
			h.a.showVerdict(refused.Verdict, refused.Statement)
		}
		return nil, nil, sessionError(ctx, err)
	}
	h.a.warnPlatform(h.owner.Platform)
	return s, ap, nil
}

// demand is what the Keep must show now.
func (h *held) demand() (client.Demand, error) {
	o := h.owner
	if _, err := h.f.checkPlatform(o.Platform); err != nil {
		return client.Demand{}, err
	}
	d, err := h.a.verifiers(&h.f.trustFlags)
	if err != nil {
		return d, err
	}
	digest, err := o.digest()
	if err != nil {
		return d, err
	}
	pub := h.key.Public()
	hash, err := pub.Hash()
	if err != nil {
		return d, fail(exitUsage, "", err)
	}
	d.Platform, d.State, d.ChannelKey = o.Platform, attest.StateRunning, o.ChannelKey
	d.OwnerKeyHash, d.BundleDigest = &hash, (*[32]byte)(&digest)
	d.Measurements = []attest.ReferenceValue{{
		Platform: o.Platform, Measurement: o.Measurement, Release: "as deployed", Source: "the owner file",
	}}
	if o.Added {
		// What it was accepted by may have been removed, or have ended.
		if d.Measurements, err = stillAdded(o.Platform, o.Measurement, d.At); err != nil {
			return d, err
		}
	}
	d.Decide = h.f.rule().Hook()
	return d, nil
}

// unproven words an end that only the host tells of. Whoever asked must not
// take it for one: the Keep may run on behind a host that says otherwise.
func (h *held) unproven(seen string) error {
	return failf(exitAgent, "the Keep may still be running; ask again, and if the answer stays take back what the workload can reach, its secrets first",
		"the host says that %s has ended; unproven: %s", h.owner.name(), seen)
}

// record opens what the ended Keep left with the host: the host can lose it,
// not read or change it. The record is the only proof of an end; without it
// the error is that of unproven.
func (h *held) record(ctx context.Context) (*session.EndRecord, error) {
	if h.Hearsay == nil {
		return nil, h.unproven("it knows this Keep no longer, and has no record of its end")
	}
	sealed, err := h.agent.Spool(ctx, h.owner.Keep, h.owner.Capability)
	if err != nil {
		var p *client.ProblemError
		if errors.As(err, &p) && slices.Contains([]api.Code{api.CodeNoSpool, api.CodeNotFound, api.CodeNotEnded}, p.Problem.Code) {
			lost := ""
			if h.Hearsay.SpoolLost != "" {
				lost = ", and says of it: " + oneLine(h.Hearsay.SpoolLost)
			}
			return nil, h.unproven("it gives as the reason \"" + oneLine(or(h.Hearsay.Reason, h.Hearsay.EndedBy)) + "\" and has no record" + lost)
		}
		return nil, sessionError(ctx, err)
	}
	r, err := client.OpenRecord(sealed, h.key, h.owner.ChannelKey)
	if err != nil {
		return nil, fail(exitAttest, "do not believe what this host says about the deployment", err)
	}
	digest, err := h.owner.digest()
	if err != nil {
		return nil, err
	}
	if string(r.Digest) != string(digest[:]) {
		return nil, failf(exitAttest, "do not believe what this host says about the deployment", "the record is of another bundle, %x, expected %s", r.Digest, digest)
	}
	return r, nil
}

// writeLog passes a record's output on, with what is missing.
func (h *held) writeLog(r *session.EndRecord) error {
	if r.Lost > 0 {
		h.lost(r.Lost)
	}
	errs := h.a.ui.workloadStream()
	for _, c := range r.Log {
		w := h.a.stdout
		if c.Stderr {
			w = errs
		}
		if _, err := w.Write(c.Data); err != nil {
			return failf(exitInternal, "", "writing the log: %w", err)
		}
	}
	return nil
}

// lost shows a gap in the output where it is.
func (h *held) lost(n uint64) {
	h.a.ui.warningf("%d bytes of output are missing here: the Keep keeps only the last of it", n)
}

// sayEnd tells how a workload ended, for commands whose own exit code is not
// the workload's.
func (h *held) sayEnd(e *session.Exit) exitResult {
	r := h.a.outcome(e)
	if h.f.json {
		return r
	}
	text := r.Reason
	if text == "" {
		h.a.ui.notef("the workload ended with exit code %d", r.Code)
	} else {
		h.a.ui.notef("the workload ended: %s (exit code %d)", text, r.Code)
	}
	return r
}

// keepTime words a time that the Keep's own clock gave.
func keepTime(ns uint64) string {
	if ns == 0 || ns > 1<<62 {
		return ""
	}
	return time.Unix(0, int64(ns)).UTC().Format(time.RFC3339)
}

// completeDeployment offers the names of deployments to shells.
func completeDeployment(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	owners, _ := listOwners()
	var names []string
	for _, o := range owners {
		names = append(names, o.name())
	}
	return names, cobra.ShellCompDirectiveDefault
}
