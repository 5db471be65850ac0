// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/session"
)

func newLogsCmd(a *app) *cobra.Command {
	var f ownerFlags
	var follow bool
	c := &cobra.Command{
		Use:   "logs [flags] DEPLOYMENT",
		Short: "Show the output of a detached workload",
		Long: `Show what a detached workload has written, from the Keep while it runs and from
the sealed record that it left after it has ended. DEPLOYMENT is a name that ps
shows or an owner file. Output that the Keep or the host no longer has is shown
as missing.`,
		Args:              oneArg("DEPLOYMENT"),
		ValidArgsFunction: completeDeployment,
		RunE: func(c *cobra.Command, args []string) error {
			return a.logs(c.Context(), args[0], &f, follow)
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the workload ends")
	f.add(c, "end with one line of JSON on stderr that says how the workload ended, if it has")
	return c
}

func (a *app) logs(ctx context.Context, arg string, f *ownerFlags, follow bool) error {
	ctx, _, _, stop := relaySignals(ctx)
	defer stop()
	h, err := a.hold(ctx, arg, f)
	if err != nil {
		return err
	}
	if h.ended() {
		return h.recordedLogs(ctx)
	}
	s, _, err := h.open(ctx)
	if h.endedMeanwhile(ctx, err) {
		return h.recordedLogs(ctx)
	}
	if err != nil {
		return err
	}
	defer s.Close()
	exit, err := s.Logs(ctx, h.key, follow, a.stdout, a.ui.workloadStream(), h.lost)
	if err != nil {
		return sessionError(ctx, err)
	}
	return h.reportEnd(exit)
}

// recordedLogs shows the log of an ended workload.
func (h *held) recordedLogs(ctx context.Context) error {
	r, err := h.record(ctx)
	if err != nil {
		return err
	}
	if err := h.writeLog(r); err != nil {
		return err
	}
	return h.reportEnd(&r.Exit)
}

// reportEnd is the end of logs and stop, whose own exit code is 0.
func (h *held) reportEnd(exit *session.Exit) error {
	if exit == nil {
		return nil
	}
	r := h.sayEnd(exit)
	if h.f.json {
		h.a.result = &resultLine{Exit: r, Platform: h.owner.Platform, Bundle: h.owner.Bundle, Owner: h.owner.path}
	}
	return nil
}

func newAttachCmd(a *app) *cobra.Command {
	var f ownerFlags
	c := &cobra.Command{
		Use:   "attach [flags] DEPLOYMENT",
		Short: "Follow a detached workload and return its exit code",
		Long: `Show what a detached workload writes from now on and return its exit code when it
ends; if it has ended already, return that. Interrupting attach leaves the
workload running.

` + exitHelp(),
		Args:              oneArg("DEPLOYMENT"),
		ValidArgsFunction: completeDeployment,
		RunE:              func(c *cobra.Command, args []string) error { return a.attach(c.Context(), args[0], &f) },
	}
	f.add(c, "end with one line of JSON on stderr that says whose exit code it is")
	return c
}

func (a *app) attach(ctx context.Context, arg string, f *ownerFlags) error {
	ctx, _, _, stop := relaySignals(ctx)
	defer stop()
	h, err := a.hold(ctx, arg, f)
	if err != nil {
		return err
	}
	exit, err := h.follow(ctx)
	var forced errForced
	switch {
	case err == nil:
	case errors.As(context.Cause(ctx), &forced):
		return failf(exitSignalBase+int(forced.sig), "enarx stop "+h.owner.name()+" ends it", "detached by %s: the workload goes on", signalName(uint64(forced.sig)))
	default:
		return sessionError(ctx, err)
	}
	res := a.outcome(exit)
	a.exit = res.Code
	a.tell(res, exit.Trace)
	if f.json {
		a.result = &resultLine{Exit: res, Platform: h.owner.Platform, Bundle: h.owner.Bundle, Owner: h.owner.path}
	}
	return nil
}

// follow passes the output on until the workload ends, or takes the end from
// its record.
func (h *held) follow(ctx context.Context) (*session.Exit, error) {
	if h.ended() {
		return h.recordedExit(ctx)
	}
	s, _, err := h.open(ctx)
	if h.endedMeanwhile(ctx, err) {
		return h.recordedExit(ctx)
	}
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Attach(ctx, h.key, h.a.stdout, h.a.ui.workloadStream(), h.lost)
}

func (h *held) recordedExit(ctx context.Context) (*session.Exit, error) {
	r, err := h.record(ctx)
	if err != nil {
		return nil, err
	}
	return &r.Exit, nil
}

func newStopCmd(a *app) *cobra.Command {
	var f ownerFlags
	var force bool
	c := &cobra.Command{
		Use:   "stop [flags] DEPLOYMENT",
		Short: "End a detached workload",
		Long: `End a detached workload: the Keep ends it, leaves the sealed record of its logs,
and wipes itself. A workload that has ended already is no error.

The exit code is 0 only if the Keep itself has said that it ended: in the attested
session, or in the sealed record that it left. A host that merely says so is not
believed, and the exit code is 126. So it is with --force, which asks the host to
end a Keep that cannot be reached: no record is left, and the host may ignore it.`,
		Args:              oneArg("DEPLOYMENT"),
		ValidArgsFunction: completeDeployment,
		RunE:              func(c *cobra.Command, args []string) error { return a.stop(c.Context(), args[0], &f, force) },
	}
	c.Flags().BoolVar(&force, "force", false, "have the host end the Keep, without its own consent and record")
	f.add(c, "end with one line of JSON on stderr that says how the workload ended")
	return c
}

func (a *app) stop(ctx context.Context, arg string, f *ownerFlags, force bool) error {
	ctx, _, _, stop := relaySignals(ctx)
	defer stop()
	h, err := a.hold(ctx, arg, f)
	if err != nil {
		return err
	}
	if h.ended() {
		return h.recordedEnd(ctx)
	}
	if force {
		return h.force(ctx)
	}
	s, _, err := h.open(ctx)
	if h.endedMeanwhile(ctx, err) {
		return h.recordedEnd(ctx)
	}
	if err != nil {
		var refused *client.RefusedError
		if errors.As(err, &refused) {
			return err
		}
		return addHint(err, "enarx stop --force has the host end the Keep")
	}
	defer s.Close()
	exit, err := s.Stop(ctx, h.key)
	if err != nil {
		return sessionError(ctx, err)
	}
	// So that what comes next (logs, ps) finds it ended.
	h.settle(ctx)
	return h.reportEnd(exit)
}

// recordedEnd is the end of a stop that finds the Keep ended, as the host says:
// true if the record that only the Keep can have made says so.
func (h *held) recordedEnd(ctx context.Context) error {
	exit, err := h.recordedExit(ctx)
	if err != nil {
		return err
	}
	return h.reportEnd(exit)
}

// force has the host end the Keep. A Keep may have ended by itself just then,
// and its record says so; else there is nothing but the host's word.
func (h *held) force(ctx context.Context) error {
	if err := h.agent.Stop(ctx, h.owner.Keep, h.owner.Capability); err != nil {
		return sessionError(ctx, err)
	}
	if !h.settle(ctx) {
		return failf(exitAgent, "the Keep may still be running", "the host took the order to end %s and does not say that it has", h.owner.name())
	}
	return h.recordedEnd(ctx)
}

// addHint gives an error without a hint one.
func addHint(err error, hint string) error {
	var ce *cliError
	if errors.As(err, &ce) && ce.hint == "" {
		return fail(ce.code, hint, ce.err)
	}
	return err
}
