// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/keep/session"
)

// errForced is the cause of a context that the user ended.
type errForced struct{ sig syscall.Signal }

func (e errForced) Error() string { return "ended by " + unix.SignalName(e.sig) }

// outcome turns the end of a workload into an exit code and a result.
func (a *app) outcome(e *session.Exit) exitResult {
	reason := oneLine(e.Reason)
	switch e.End {
	case session.EndExit:
		if e.Code > exitMax {
			return exitResult{By: "workload", Code: exitMax, Reason: fmt.Sprintf("exit code %d, which no process of this system can return", e.Code)}
		}
		return exitResult{By: "workload", Code: int(e.Code)}
	case session.EndTrap:
		return exitResult{By: "workload", Code: exitTrap, Reason: "trap: " + reason}
	case session.EndSignal:
		// A number from the Keep; 64 is the largest signal that there is.
		return exitResult{By: "workload", Code: exitSignalBase + int(min(e.Code, 64)), Reason: "ended by " + signalName(e.Code)}
	case session.EndStopped:
		// By its owner, or by the host or a lost session: the Keep says which.
		return exitResult{By: "workload", Code: exitSignalBase + int(unix.SIGTERM), Reason: "stopped: " + or(reason, "the Keep does not say why")}
	case session.EndTimeout:
		return exitResult{By: "enarx", Code: exitTimeout, Reason: or(reason, "the time limit of the run has passed"),
			Hint: "raise it with --timeout or limits.timeout of Enarx.toml"}
	case session.EndKilled:
		return exitResult{By: "enarx", Code: exitKeep, Reason: or(reason, "the workload's process in the Keep was killed"),
			Hint: "the usual cause is memory: raise --memory, or look at the host"}
	case session.EndSetup:
		return exitResult{By: "enarx", Code: exitWorkload, Reason: or(reason, "the workload could not be started")}
	}
	return exitResult{By: "enarx", Code: exitKeep, Reason: fmt.Sprintf("the Keep reports an end that this enarx does not know: %q", e.End)}
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func signalName(n uint64) string {
	if n < 65 {
		if s := unix.SignalName(syscall.Signal(n)); s != "" {
			return s
		}
	}
	return fmt.Sprintf("signal %d", n)
}

// tell says how a workload ended, where its code alone does not.
func (a *app) tell(r exitResult, trace string) {
	switch {
	case a.ui.jsonErrors:
	case r.By == "enarx":
		a.ui.errorf("%s", r.Reason)
		if r.Hint != "" {
			a.ui.hintf("%s", r.Hint)
		}
	case r.Reason != "":
		a.ui.notef("the workload ended: %s", r.Reason)
		for line := range strings.Lines(trace) {
			a.ui.notef("  %s", strings.TrimSpace(line))
		}
	}
}

// sessionError words what went wrong between this client, the agent and the
// Keep, with the code that belongs to it.
func sessionError(ctx context.Context, err error) error {
	var ce *cliError
	if err == nil || errors.As(err, &ce) {
		return err
	}
	var forced errForced
	if cause := context.Cause(ctx); errors.As(cause, &forced) {
		return failf(exitSignalBase+int(forced.sig), "", "%s before the workload had ended", forced)
	}
	var (
		refused *client.RefusedError
		said    *session.Refused
		problem *client.ProblemError
		dead    *client.UnreachableError
		output  *client.OutputError
	)
	switch {
	case errors.As(err, &refused):
		return fail(exitAttest, refusedHint(refused), err)
	case errors.As(err, &said):
		code, hint := saidCode(said.Code)
		return fail(code, hint, err)
	case errors.As(err, &problem):
		code := exitAgent
		if c := problem.Problem.Code; c == api.CodePlatformUnusable || c == api.CodeStartFailed {
			code = exitPlatform
		}
		return fail(code, problem.Advice(), err)
	case errors.As(err, &dead):
		return fail(exitAgent, dead.Advice(), err)
	case errors.As(err, &output) && errors.Is(err, syscall.EPIPE):
		// The reader of a pipe has gone. A native program would have ended by
		// this signal, and a shell shows that code.
		return failf(exitSignalBase+int(unix.SIGPIPE), "", "the reader of the workload's %s has gone", output.Stream)
	case errors.As(err, &output):
		return fail(exitInternal, "check the free space", err)
	}
	return fail(exitKeep, "", err)
}

// refusedHint is the advice of the first failed check.
func refusedHint(r *client.RefusedError) string {
	for _, row := range r.Verdict {
		if row.Todo != "" && row.Outcome == "failed" {
			return row.Todo
		}
	}
	return "nothing of the workload has left this machine"
}

// saidCode is the exit code of a refusal by the Keep itself.
func saidCode(code string) (int, string) {
	switch code {
	case session.CodeAlreadyClaimed:
		return exitAttest, "somebody else took this Keep first; deploy again to get another"
	case session.CodeBadBundle:
		return exitWorkload, ""
	case session.CodeConfidential:
		return exitAttest, "deploy to a host with snp, tdx or sgx, or set confidential = false"
	case session.CodeNotOwner:
		return exitAttest, "this owner file does not belong to the Keep"
	case session.CodeBusy:
		return exitAgent, "try again"
	case session.CodeEvidence:
		return exitPlatform, "the platform's hardware gave no evidence; try again, or use another host"
	case session.CodeSetup:
		return exitWorkload, ""
	}
	return exitKeep, ""
}
