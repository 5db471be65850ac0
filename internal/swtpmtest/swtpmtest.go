// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package swtpmtest makes software TPMs for tests: a throw-away maker of TPMs
// with its certification authority, the TPMs that it makes, and a connection to
// each. They are real TPMs in all but one thing: whoever runs them can read and
// change what is inside.
//
// swtpm, swtpm_setup and swtpm_localca must be installed (Debian packages swtpm
// and swtpm-tools). Without them a test that uses this package is skipped, or
// fails where ENARX_REQUIRE_TOOLS is set, as make test does.
package swtpmtest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// startTimeout bounds the start of swtpm, which takes some 10 ms.
const startTimeout = 20 * time.Second

// Maker makes TPMs and certifies them.
type Maker struct {
	dir    string
	config string
}

// NewMaker makes a maker of TPMs in the directory dir, which must be empty.
func NewMaker(t testing.TB, dir string) *Maker {
	t.Helper()
	m := &Maker{dir: dir, config: filepath.Join(dir, "setup.conf")}
	write(t, filepath.Join(dir, "localca.conf"), fmt.Sprintf(
		"statedir = %[1]s\nsigningkey = %[1]s/signkey.pem\nissuercert = %[1]s/issuercert.pem\ncertserial = %[1]s/certserial\n", dir))
	write(t, filepath.Join(dir, "options"), "")
	var tool string
	for _, name := range []string{"swtpm", "swtpm_setup", "swtpm_localca"} {
		var err error
		if tool, err = exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("ENARX_REQUIRE_TOOLS") != "" {
			t.Fatalf("%v: run scripts/deps", err)
		}
		t.Skipf("%v: run scripts/deps", err)
	}
	write(t, m.config, fmt.Sprintf(
		"create_certs_tool = %s\ncreate_certs_tool_config = %s/localca.conf\ncreate_certs_tool_options = %[2]s/options\nactive_pcr_banks = sha256\n", tool, dir))
	return m
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Root is the maker's root certificate. It is there once a TPM was made.
func (m *Maker) Root(t testing.TB) *x509.Certificate {
	t.Helper()
	return m.certificate(t, "swtpm-localca-rootca-cert.pem")
}

// Issuer is the certificate of the authority between root and endorsement
// certificates, which lies in no TPM.
func (m *Maker) Issuer(t testing.TB) *x509.Certificate {
	t.Helper()
	return m.certificate(t, "issuercert.pem")
}

func (m *Maker) certificate(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(m.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("%s holds no PEM", name)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TPM is the state of one TPM.
type TPM struct{ dir string }

// Dir is the directory of the TPM's state (swtpm --tpmstate dir=DIR).
func (p *TPM) Dir() string { return p.dir }

// Make makes a TPM with endorsement keys and certificates, and a SHA-256 bank.
// Further options of swtpm_setup may be given. Making one takes 1.5 s.
func (m *Maker) Make(t testing.TB, options ...string) *TPM {
	t.Helper()
	dir, err := os.MkdirTemp(m.dir, "tpm")
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--tpm2", "--tpmstate", dir, "--config", m.config, "--create-ek-cert",
		"--pcr-banks", "sha256", "--lock-nvram", "--overwrite"}, options...)
	if out, err := exec.Command("swtpm_setup", args...).CombinedOutput(); err != nil {
		t.Fatalf("swtpm_setup: %v (packages swtpm, swtpm-tools)\n%s", err, out)
	}
	return &TPM{dir}
}

// PowerOn starts a copy of the TPM as a machine's power-on does, all PCRs at their
// start values, and returns the connection that commands go through, a Unix
// stream socket. The copy ends with the test and leaves no trace in p, so that
// many tests can share one TPM at the same time.
func (p *TPM) PowerOn(t testing.TB) *net.UnixConn {
	t.Helper()
	state := t.TempDir()
	if err := os.CopyFS(state, os.DirFS(p.dir)); err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir, whose long names may not fit into a socket address.
	dir, err := os.MkdirTemp("", "enarx-swtpm-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "tpm")
	var words bytes.Buffer
	cmd := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state,
		"--server", "type=unixio,path="+path, "--flags", "not-need-init,startup-clear")
	cmd.Stdout, cmd.Stderr = &words, &words
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: install the package swtpm", err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		os.RemoveAll(dir)
	})
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("unix", path)
		if err == nil {
			t.Cleanup(func() { c.Close() })
			return c.(*net.UnixConn)
		}
		select {
		case <-ended:
			t.Fatalf("swtpm ended: %v\n%s", cmd.ProcessState, words.String())
		default:
		}
		if time.Since(begin) > startTimeout {
			t.Fatalf("swtpm does not listen after %v: %v", startTimeout, err)
		}
	}
}
