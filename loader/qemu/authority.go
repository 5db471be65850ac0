// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// TPMRootFile is the file in the authority's directory that users name to
// accept TPMs of this host: its root certificate (PEM).
const TPMRootFile = "tpm-root.pem"

const (
	issuerKeyFile  = "issuer-key.pem"
	issuerFile     = "issuer.pem"
	serialFile     = "certserial" // of swtpm_localca
	authorityYears = 10
	maxCertificate = 64 << 10
)

// TPMAuthority certifies the endorsement keys of one host's software TPMs. It
// proves that a TPM is one of this host's and no more: the host holds the keys
// of the authority and those of every TPM.
type TPMAuthority struct {
	// Root is the certificate that users name (DER), Issuer the one between it
	// and the endorsement keys, which evidence needs beside it.
	Root, Issuer []byte
}

// OpenTPMAuthority reads the authority in dir, or makes one: a root whose key
// is thrown away at once, and an issuer. The directory appears whole or not at
// all, so a crash leaves no half of one.
func OpenTPMAuthority(dir string) (*TPMAuthority, error) {
	a, err := readAuthority(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	if err := makeAuthority(dir); err != nil {
		return nil, fmt.Errorf("make the authority of software TPMs: %w", err)
	}
	return readAuthority(dir)
}

func readAuthority(dir string) (*TPMAuthority, error) {
	a := &TPMAuthority{}
	for name, to := range map[string]*[]byte{TPMRootFile: &a.Root, issuerFile: &a.Issuer} {
		b, err := readLimited(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("authority of software TPMs: %w", err)
		}
		p, _ := pem.Decode(b)
		if p == nil || p.Type != "CERTIFICATE" || len(b) > maxCertificate {
			return nil, fmt.Errorf("authority of software TPMs: %s holds no certificate; remove %s to have a new one made, which clients then have to be given",
				filepath.Join(dir, name), dir)
		}
		*to = p.Bytes
	}
	st, err := os.Stat(filepath.Join(dir, issuerKeyFile))
	if err != nil {
		return nil, fmt.Errorf("authority of software TPMs: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("authority of software TPMs: others may use its key %s (mode %o); chmod 600 it",
			filepath.Join(dir, issuerKeyFile), st.Mode().Perm())
	}
	return a, nil
}

// makeAuthority makes the directory beside itself and puts it in place.
func makeAuthority(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".tpm-authority-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	files, err := newAuthority(time.Now())
	if err != nil {
		return err
	}
	for name, b := range files {
		mode := fs.FileMode(0o600)
		if name == TPMRootFile {
			mode = 0o644
		}
		if err := os.WriteFile(filepath.Join(tmp, name), b, mode); err != nil {
			return err
		}
	}
	// Somebody else may have been faster: then theirs counts.
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// newAuthority makes keys and certificates.
func newAuthority(now time.Time) (map[string][]byte, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	root, err := certify("Enarx software TPM root", 1, now, &rootKey.PublicKey, nil, rootKey)
	if err != nil {
		return nil, err
	}
	parent, err := x509.ParseCertificate(root)
	if err != nil {
		return nil, err
	}
	issuer, err := certify("Enarx software TPM issuer", 0, now, &key.PublicKey, parent, rootKey)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		TPMRootFile:   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root}),
		issuerFile:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer}),
		issuerKeyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		serialFile:    []byte("1"),
	}, nil
}

// certify makes a certificate of an authority; a nil parent means its own.
func certify(name string, below int, now time.Time, key *ecdsa.PublicKey, parent *x509.Certificate, signer *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name + " " + serial.Text(36)[:8]},
		// A day back: the clocks of verifiers differ.
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(authorityYears, 0, 0),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true,
		MaxPathLen: below, MaxPathLenZero: below == 0,
	}
	if parent == nil {
		parent = t
	}
	return x509.CreateCertificate(rand.Reader, t, parent, key, signer)
}

// writeSetup writes what swtpm_setup and swtpm_localca read, and returns the
// path of the former's configuration.
func writeSetup(work, authority string) (string, error) {
	tool := "/usr/bin/swtpm_localca"
	path := func(name string) string { return filepath.Join(authority, name) }
	config := filepath.Join(work, "setup.conf")
	for name, lines := range map[string][]string{
		"options": nil,
		"localca.conf": {
			"statedir = " + authority, "signingkey = " + path(issuerKeyFile),
			"issuercert = " + path(issuerFile), "certserial = " + path(serialFile),
		},
		"setup.conf": {
			"create_certs_tool=" + tool, "create_certs_tool_config=" + filepath.Join(work, "localca.conf"),
			"create_certs_tool_options=" + filepath.Join(work, "options"), "active_pcr_banks=sha256",
		},
	} {
		text := strings.Join(lines, "\n") + "\n"
		if name == "options" {
			text = ""
		}
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return config, nil
}
