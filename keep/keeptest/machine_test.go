// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keeptest_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/vtpm"
	"github.com/enarx/enarx-go/client"
	"github.com/enarx/enarx-go/image"
	"github.com/enarx/enarx-go/image/disk"
	"github.com/enarx/enarx-go/image/imagetest"
	"github.com/enarx/enarx-go/keep/keeptest"
	"github.com/enarx/enarx-go/loader/qemu"
	"github.com/enarx/enarx-go/measure/release"
)

// These are refusals that take machines which really booted another thing:
// firmware, kernel, TPM and Keep are real. The others are in package keep.

// machines boots Keeps on platform vtpm for one client.
type machines struct {
	keep      string
	authority string
	refs      []attest.ReferenceValue // of the image that the client expects
}

// boot starts the Keep of an image under a firmware, the usual one if it is empty.
func (m *machines) boot(t *testing.T, dir string, fw qemu.Firmware) *keeptest.Keep {
	t.Helper()
	l, err := qemu.New(qemu.Options{Platform: attest.PlatformVTPM, Image: dir, Accel: qemu.AccelTCG, Firmware: fw, TPMAuthority: m.authority})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return keeptest.Start(t, keeptest.Config{Platform: attest.PlatformVTPM, Loader: l, Keep: m.keep})
}

// ask appraises a Keep in a session of its own and returns what was seen, by
// check, and the checks that failed.
func (m *machines) ask(t *testing.T, k *keeptest.Keep, secureBoot bool) (seen map[string]attest.Row, failed string, err error) {
	t.Helper()
	a, err := qemu.OpenTPMAuthority(m.authority)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(a.Root)
	if err != nil {
		t.Fatal(err)
	}
	o := vtpm.Options{Roots: []*x509.Certificate{root}, RootSource: "this test", SecureBoot: secureBoot}
	col := attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: a.Issuer}}
	var verdict attest.Verdict
	s := k.Connect(t)
	defer s.Close()
	res, err := s.Appraise(client.Demand{
		Platform: attest.PlatformVTPM, State: attest.StateEmpty, At: time.Now(), Measurements: m.refs, Collateral: col,
		Decide: func(*attest.Claims, attest.Verdict) error { return nil },
		Challenger: func(attest.Collateral) (attest.Challenger, attest.Verifier) {
			s := vtpm.NewSession(o, col, time.Now(), rand.Reader)
			return s, s
		},
	})
	var refusal *client.RefusedError
	switch {
	case errors.As(err, &refusal):
		verdict = refusal.Verdict
	case err != nil:
		t.Fatalf("no verdict: %v; the Keep said %s", err, k.Stderr)
	default:
		verdict = res.Verdict
	}
	seen = map[string]attest.Row{}
	var rows []string
	for _, r := range verdict {
		check := strings.TrimPrefix(r.Check, "vtpm.")
		seen[check] = r
		if r.Outcome == attest.Fail {
			rows = append(rows, check)
		}
	}
	return seen, strings.Join(rows, " "), err
}

// TestInvariant1NoSilentDowngrade_AnotherKernelReallyBoots: a machine that has
// booted an older kernel, with the same Keep runtime and command line. The modules
// in its initrd are that kernel's, too.
func TestInvariant1NoSilentDowngrade_AnotherKernelReallyBoots(t *testing.T) {
	m, _ := newMachines(t)
	old := imagetest.Image(t, imagetest.Options{Kernel: imagetest.Kernel61, Init: m.keep})
	seen, failed, _ := m.ask(t, m.boot(t, old.Dir, qemu.Firmware{}), false)
	if want := "initrd kernel uki measurement"; failed != want {
		t.Errorf("rows %q failed, expected %q", failed, want)
	}
	if r := seen["kernel"]; r.Reason != attest.ReasonMeasurement || !strings.Contains(r.Seen, `EV_IPL ".linux"`) || !strings.Contains(r.Todo, "another kernel") {
		t.Errorf("the kernel's row: %+v", r)
	}
	if r := seen["command-line"]; r.Outcome != attest.Pass {
		t.Errorf("the command line's row: %+v", r)
	}
}

// TestInvariant1NoSilentDowngrade_SecureBootReallyIsOnOrOff demands Secure Boot
// of two machines with the release's image, one of which has it. Where it is on
// another sequence of events than where it is off was predicted, and is measured.
func TestInvariant1NoSilentDowngrade_SecureBootReallyIsOnOrOff(t *testing.T) {
	m, img := newMachines(t)
	for name, x := range map[string]struct {
		dir    string
		fw     qemu.Firmware
		failed string
		where  string // what the kernel is measured into
	}{
		"on":  {signed(t, img), secureBoot(t), "", "as in the release, in PCR11"},
		"off": {img.Dir, qemu.Firmware{}, "secure-boot", "as in the release, in PCR4, PCR11"},
	} {
		k := m.boot(t, x.dir, x.fw)
		seen, failed, err := m.ask(t, k, true)
		if failed != x.failed || (err == nil) != (x.failed == "") {
			t.Errorf("%s: rows %q failed, expected %q: %v", name, failed, x.failed, err)
		}
		if r := seen["secure-boot"]; r.Seen != name || (r.Outcome == attest.Pass) != (name == "on") {
			t.Errorf("%s: the row of Secure Boot: %+v", name, r)
		}
		if r := seen["kernel"]; r.Outcome != attest.Pass || r.Seen != x.where {
			t.Errorf("%s: the kernel's row: %+v", name, r)
		}
		// Without the demand the state is shown and decides nothing.
		if _, failed, err := m.ask(t, k, false); err != nil {
			t.Errorf("%s, and not demanded: rows %q failed: %v", name, failed, err)
		}
	}
}

func newMachines(t *testing.T) (*machines, *image.Image) {
	t.Helper()
	imagetest.QEMU(t)
	imagetest.Tool(t, "swtpm_setup")
	m := &machines{keep: imagetest.Keep(t), authority: filepath.Join(t.TempDir(), "authority")}
	img := imagetest.Image(t, imagetest.Options{Init: m.keep})
	refs, err := release.ReferenceValues(img, release.VTPM(), release.VTPMSecureBoot())
	if err != nil {
		t.Fatal(err)
	}
	m.refs = refs
	return m, img
}

// secureBoot is OVMF with Secure Boot on, under the throw-away key that Debian's
// package ovmf has for tests.
func secureBoot(t *testing.T) qemu.Firmware {
	t.Helper()
	fw := qemu.Firmware{Code: "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", Variables: "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd", SMM: true}
	for _, f := range []string{fw.Code, fw.Variables} {
		if _, err := os.Stat(f); err != nil {
			imagetest.Need(t, "no firmware with Secure Boot: "+err.Error())
		}
	}
	return fw
}

// signed is a copy of an image whose UKI is signed under the key that OVMF's
// variables for tests trust. Nothing that is measured of the image changes.
func signed(t *testing.T, img *image.Image) string {
	t.Helper()
	sbsign := imagetest.Tool(t, "sbsign")
	dir := t.TempDir()
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	key, uki := filepath.Join(dir, "key.pem"), filepath.Join(dir, "uki.efi")
	run(imagetest.Tool(t, "openssl"), "rsa", "-in", "/usr/share/ovmf/PkKek-1-snakeoil.key", "-passin", "pass:snakeoil", "-out", key)
	run(sbsign, "--key", key, "--cert", "/usr/share/ovmf/PkKek-1-snakeoil.pem", "--output", uki, img.Path(image.FileUKI))
	out := filepath.Join(dir, "image")
	if err := os.CopyFS(out, os.DirFS(img.Dir)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(uki)
	if err != nil {
		t.Fatal(err)
	}
	d, err := disk.New(b)
	if err != nil {
		t.Fatal(err)
	}
	// The manifest names the new files, as the loader wants.
	manifest, err := os.ReadFile(img.Path(image.FileManifest))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{image.FileUKI: b, image.FileDisk: d} {
		f, _ := img.Manifest.File(name)
		sum := sha256.Sum256(data)
		manifest = bytes.ReplaceAll(manifest, []byte(f.SHA256), []byte(hex.EncodeToString(sum[:])))
		manifest = bytes.ReplaceAll(manifest, fmt.Appendf(nil, `"size": %d`, f.Size), fmt.Appendf(nil, `"size": %d`, len(data)))
		if err := os.WriteFile(filepath.Join(out, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !json.Valid(manifest) {
		t.Fatal("the manifest is none any more")
	}
	if err := os.WriteFile(filepath.Join(out, image.FileManifest), manifest, 0o644); err != nil {
		t.Fatal(err)
	}
	return out
}
