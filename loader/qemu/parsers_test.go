// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/image/imagetest"
	"github.com/enarx/enarx-go/loader"
	"github.com/enarx/enarx-go/loader/loadertest"
)

// parserEnv is set by make qemu-parsers: then a QEMU that is not there is an
// error.
const parserEnv = "ENARX_QEMU_PARSERS"

// newer are the versions of QEMU that scripts/qemu-parsers unpacks.
func newer(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, suite := range []string{"bookworm-backports", "sid"} {
		path := filepath.Join(imagetest.Root(t), "build/cache/qemu-parsers", suite, "qemu")
		if _, err := os.Stat(path); err == nil {
			found[suite] = path
		} else if os.Getenv(parserEnv) != "" {
			t.Fatalf("no QEMU of %s: %v; run scripts/qemu-parsers", suite, err)
		}
	}
	if len(found) == 0 {
		t.Skip("needs QEMU 10 and 11 beside the one that is installed (400 MB): make qemu-parsers")
	}
	return found
}

// confidentialLine is a launch line of snp or tdx over files that are there.
func confidentialLine(t *testing.T, platform string, v Version) Machine {
	t.Helper()
	dir := t.TempDir()
	file := func(name string, size int) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	m := Machine{
		Platform: platform, Accel: AccelKVM, QEMU: v, VCPUs: 2, Memory: 512 << 20,
		Kernel: file("kernel", 4096), Initrd: file("initrd", 4096), Cmdline: "panic=-1", Firmware: file("firmware", 4<<20),
		Sandbox: true, CBitPos: 51, ReducedPhysBits: 1, HostData: [32]byte{1, 2, 3}, Sallyport: 3, Words: 4, Monitor: 5,
	}
	return m
}

// parse runs QEMU with sockets as descriptors 3 to 5, as the loader does, and
// returns the first thing that it complains about.
func parse(t *testing.T, qemu string, args []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, qemu, args...)
	for range 3 {
		p, err := plainPair("port")
		if err != nil {
			t.Fatal(err)
		}
		defer p[0].Close()
		defer p[1].Close()
		c.ExtraFiles = append(c.ExtraFiles, p[1])
	}
	out, err := c.CombinedOutput()
	if err == nil {
		t.Fatalf("QEMU launched a confidential guest, or %q", out)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first
}

// replaced gives args with the first old in any of them replaced.
func replaced(t *testing.T, args []string, old, new string) []string {
	t.Helper()
	out := slices.Clone(args)
	for i, a := range out {
		if strings.Contains(a, old) {
			out[i] = strings.Replace(a, old, new, 1)
			return out
		}
	}
	t.Fatalf("no argument has %q: %q", old, args)
	return nil
}

// TestConfidentialLaunchLinesPassTheParser has QEMU read the launch lines of snp
// and tdx: it gets through all of them to the point where it needs the
// hardware, and stumbles over each spoilt one before.
func TestConfidentialLaunchLinesPassTheParser(t *testing.T) {
	if _, err := os.Stat("/dev/kvm"); err == nil {
		t.Skip("this machine has /dev/kvm: QEMU would go further than its parser, with made-up firmware")
	}
	for suite, qemu := range newer(t) {
		p := findProgram(qemu)
		if p.err != nil {
			t.Fatal(p.err)
		}
		if !p.sandbox {
			t.Errorf("%s: QEMU %v refuses the sandbox %s", suite, p.version, sandboxRules)
		}
		for platform, object := range map[string]string{attest.PlatformSNP: "sev-snp-guest", attest.PlatformTDX: "tdx-guest"} {
			args := confidentialLine(t, platform, p.version).Args()
			if v := least[platform]; p.version.less(v.Major, v.Minor) {
				if got := parse(t, qemu, args); !strings.Contains(got, "does not accept value '"+object+"'") {
					t.Errorf("%s: QEMU %v is held to be too old for %s, and says %q", suite, p.version, platform, got)
				}
				continue
			}
			if got := parse(t, qemu, args); !strings.Contains(got, "Could not access KVM kernel module") {
				t.Errorf("%s: %s: QEMU %v stops at %q, expected at the missing KVM", suite, platform, p.version, got)
			}
			// Emulated it gets beyond the machine's own options, to the
			// memory that only KVM can make.
			if got := parse(t, qemu, emulated(t, args)); !strings.Contains(got, "private guest memory for "+object+": KVM required") {
				t.Errorf("%s: %s: emulated, QEMU %v stops at %q, expected at private guest memory", suite, platform, p.version, got)
			}
		}
	}
}

// emulated turns a launch line into one that asks for TCG.
func emulated(t *testing.T, args []string) []string {
	t.Helper()
	out := slices.Clone(args)
	i := slices.Index(out, "-accel")
	if i < 0 {
		t.Fatalf("no accelerator in %q", args)
	}
	out[i+1] = "tcg"
	return out
}

// TestSpoiltLaunchLinesDoNotPass shows that the test above can fail: each option
// that matters is known to the parser by its name and form.
func TestSpoiltLaunchLinesDoNotPass(t *testing.T) {
	for suite, qemu := range newer(t) {
		p := findProgram(qemu)
		if p.err != nil {
			t.Fatal(p.err)
		}
		for _, c := range []struct{ platform, old, new, want string }{
			{attest.PlatformSNP, "kernel-hashes=on", "kernel-hash=on", "kernel-hash"},
			{attest.PlatformSNP, "kernel-hashes=on", "kernel-hashes=maybe", "kernel-hashes"},
			{attest.PlatformSNP, "host-data=AQID", "host-data=AQ", "host"},
			{attest.PlatformSNP, "policy=0x", "policy=x", "policy"},
			{attest.PlatformSNP, "cbitpos=51", "cbit=51", "cbit"},
			{attest.PlatformSNP, "sev-snp-guest", "sev-snp-guests", "sev-snp-guests"},
			{attest.PlatformTDX, "mrconfigid", "mrconfig", "mrconfig"},
			{attest.PlatformTDX, "quote-generation-socket", "quote-socket", "quote-socket"},
			{attest.PlatformTDX, `"type":"vsock"`, `"type":"sock"`, "sock"},
			{attest.PlatformTDX, "tdx-guest", "tdx-guests", "tdx-guests"},
			{attest.PlatformSNP, "share=true", "shared=true", "shared"},
		} {
			if v := least[c.platform]; p.version.less(v.Major, v.Minor) {
				continue
			}
			args := replaced(t, confidentialLine(t, c.platform, p.version).Args(), c.old, c.new)
			got := parse(t, qemu, args)
			if strings.Contains(got, "KVM") || !strings.Contains(got, c.want) && !strings.Contains(got, "parameter length") && !strings.Contains(got, "base64") {
				t.Errorf("%s: %s with %s: QEMU %v says %q", suite, c.platform, c.new, p.version, got)
			}
		}
	}
}

// TestNewerQEMUStartsKeeps starts a Keep on each: the loader's lines for vm hold
// for the versions that hosts with confidential guests have.
func TestNewerQEMUStartsKeeps(t *testing.T) {
	paths := newer(t)
	keep, dir := testKeep(t)
	for suite, qemu := range paths {
		l := testLoader(t, Options{Platform: attest.PlatformVM, Image: dir, QEMU: qemu})
		h := loadertest.Harness{Keep: keep}
		k := loadertest.Start(t, l, loadertest.Spec(t, h))
		if got := k.Say(t, "echo there"); got != "there" {
			t.Errorf("%s: %q", suite, got)
		}
		k.Say(t, "exit 3")
		if e := loadertest.Gone(t, k); e.Code != 3 || e.Reason != "exited" {
			t.Errorf("%s: %+v", suite, e)
		}
	}
}

// TestSNPHasOneProcessor: a second one would be measured and never used.
func TestSNPHasOneProcessor(t *testing.T) {
	l, err := New(Options{Platform: attest.PlatformSNP, Image: t.TempDir(), Accel: AccelKVM})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	spec := loader.Spec{ID: "two", Keep: self, VCPUs: 2}
	if err := l.check(t.Context(), &spec); err == nil || !strings.Contains(err.Error(), "acpi=off") {
		t.Errorf("two processors on snp: %v", err)
	}
	spec.VCPUs = 0
	if err := l.check(t.Context(), &spec); spec.VCPUs != 1 || err != nil && strings.Contains(err.Error(), "virtual CPU") {
		t.Errorf("by default there are %d processors: %v", spec.VCPUs, err)
	}
}
