// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"strings"
	"testing"

	"github.com/enarx/enarx-go/internal/guestport"
)

// TestOnlyAGoodbyeAndPowerOffIsAGoodEnd goes through what a host can have seen
// of a machine. QEMU's exit status, 0 in all of these, plays no part.
func TestOnlyAGoodbyeAndPowerOffIsAGoodEnd(t *testing.T) {
	bye := func(status byte, reason string) *guestport.Goodbye {
		return &guestport.Goodbye{Status: status, Reason: reason}
	}
	for name, c := range map[string]struct {
		k      *keep
		oom    bool
		code   int
		signal string
		reason string
	}{
		"good":                 {k: &keep{goodbye: bye(0, "exited"), shutdown: "guest-shutdown"}, reason: "exited"},
		"status":               {k: &keep{goodbye: bye(7, "exited"), shutdown: "guest-shutdown"}, code: 7, reason: "exited"},
		"status above 128":     {k: &keep{goodbye: bye(200, "exited"), shutdown: "guest-shutdown"}, code: 200, reason: "exited"},
		"without ACPI":         {k: &keep{goodbye: bye(7, "exited"), shutdown: "guest-reset"}, code: 7, reason: "exited"},
		"forbidden call":       {k: &keep{goodbye: bye(128+31, guestport.ReasonForbidden), shutdown: "guest-shutdown"}, code: -1, signal: "SIGSYS", reason: guestport.ReasonForbidden},
		"memory, status 0":     {k: &keep{goodbye: bye(0, guestport.ReasonMemory), shutdown: "guest-shutdown"}, code: -1, reason: guestport.ReasonMemory},
		"goodbye, then panic":  {k: &keep{goodbye: bye(0, "exited"), shutdown: "guest-panic", panicked: true}, code: -1, reason: "the guest's kernel panicked"},
		"panic and reset":      {k: &keep{goodbye: bye(0, "exited"), shutdown: "guest-reset", panicked: true}, code: -1, reason: "the guest's kernel panicked"},
		"goodbye, then gone":   {k: &keep{goodbye: bye(0, "exited")}, code: -1, reason: "it said goodbye (exited) and then the machine ended without a power-off"},
		"panic":                {k: &keep{shutdown: "guest-panic", panicked: true}, code: -1, reason: "the guest's kernel panicked"},
		"reset":                {k: &keep{shutdown: "guest-reset"}, code: -1, reason: "the guest reset without a goodbye (panic or out of memory)"},
		"power-off":            {k: &keep{shutdown: "guest-shutdown"}, code: -1, reason: "the guest powered off without a goodbye"},
		"somebody's QMP":       {k: &keep{shutdown: "host-qmp-quit"}, code: -1, reason: "QEMU ended the machine: host-qmp-quit"},
		"killed":               {k: &keep{killed: true}, code: -1, signal: "SIGKILL", reason: "killed"},
		"killed for a fault":   {k: &keep{killed: true, fault: "it flooded"}, code: -1, signal: "SIGKILL", reason: "it flooded"},
		"fault after goodbye":  {k: &keep{goodbye: bye(0, "exited"), fault: "it did not power off"}, code: -1, signal: "SIGKILL", reason: "it did not power off"},
		"host's memory":        {k: &keep{killed: true}, oom: true, code: -1, reason: "QEMU took more memory than a Keep of this size may, and the host has ended it"},
		"killed after goodbye": {k: &keep{killed: true, goodbye: bye(3, "exited"), shutdown: "guest-shutdown"}, code: 3, reason: "exited"},
		"nothing":              {k: &keep{}, code: -1, reason: "QEMU was not started"},
	} {
		e := c.k.outcome(c.oom)
		if e.Code != c.code || e.Signal != c.signal || e.Reason != c.reason {
			t.Errorf("%s: %+v, expected %d %s %q", name, e, c.code, c.signal, c.reason)
		}
	}
}

// TestInvariant4HostileInputIsBounded_GoodbyesOfAnyStatus: no goodbye of a guest
// gives a good end but "exited" with status 0.
func TestInvariant4HostileInputIsBounded_GoodbyesOfAnyStatus(t *testing.T) {
	for status := range 256 {
		for _, reason := range []string{"exited", "killed", "out of memory", "", strings.Repeat("r", guestport.MaxReason)} {
			e := exitOf(guestport.Goodbye{Status: byte(status), Reason: reason})
			if good := status == 0 && reason == "exited"; (e.Code == 0) != good {
				t.Errorf("status %d, %q: %+v", status, reason, e)
			}
		}
	}
}
