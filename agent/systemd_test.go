// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const unitFile = "../packaging/systemd/enarx-agent.service"

// The unit says what it has to, whether or not systemd is here to check it.
func TestSystemdUnit(t *testing.T) {
	b, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(k, "#") {
			settings[k] = v
		}
	}
	for k, want := range map[string]string{
		"User": "enarx", "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "ProtectSystem": "strict", "StateDirectory": "enarx",
		"StateDirectoryMode": "0700", "KillMode": "mixed", "UMask": "0077", "OOMPolicy": "continue",
	} {
		if got, ok := settings[k]; !ok || got != want {
			t.Errorf("%s=%s, want %q", k, got, want)
		}
	}
	// Keeps inherit these, and could not run.
	for _, k := range []string{"MemoryDenyWriteExecute", "RestrictNamespaces", "ProtectControlGroups"} {
		if v, ok := settings[k]; ok {
			t.Errorf("%s=%s: Keeps cannot run under it", k, v)
		}
	}
	if !strings.Contains(settings["RestrictAddressFamilies"], "AF_NETLINK") {
		t.Error("without AF_NETLINK the agent cannot read the host's own addresses")
	}
	if !strings.Contains(settings["ExecStart"], DefaultListen) {
		t.Errorf("ExecStart=%s", settings["ExecStart"])
	}
	var l Limits
	if err := l.fill(); err != nil {
		t.Fatal(err)
	}
	stop, err := time.ParseDuration(settings["TimeoutStopSec"] + "s")
	if err != nil || stop < l.Drain+2*waitStep+leaveTime {
		t.Errorf("TimeoutStopSec=%s cuts the drain of %s short", settings["TimeoutStopSec"], l.Drain)
	}
}

// systemd's own opinion, where it is installed. Only the path of the program
// is changed: it need not be installed to check the unit.
func TestSystemdUnitVerify(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed: apt-get install systemd")
	}
	b, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/enarx`).ReplaceAllString(string(b), "ExecStart=/bin/true")
	file := filepath.Join(t.TempDir(), "enarx-agent.service")
	verify := func(text string) string {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", file)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return string(out) + err.Error()
		}
		// Only what it says of this unit counts.
		var ours []string
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "enarx-agent") {
				ours = append(ours, line)
			}
		}
		return strings.Join(ours, "")
	}
	if out := verify(text); out != "" {
		t.Errorf("systemd-analyze verify:\n%s", out)
	}
	if out := verify(strings.Replace(text, "NoNewPrivileges=", "NoNewPrivilege=", 1)); out == "" {
		t.Error("systemd-analyze verify does not notice a misspelt setting: this test proves nothing")
	}
}
