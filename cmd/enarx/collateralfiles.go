// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
)

// maxCollateralFile bounds one file of collateral; a chain in PEM has some
// 4 KiB, a TCB info 9.
const maxCollateralFile = 1 << 20

// readCollateral reads the files and directories of --collateral. What a file
// is, its content says. In a directory, files that are no collateral are passed
// over, since evidence may lie there too; one that was named must be.
func (a *app) readCollateral(paths []string) (attest.Collateral, error) {
	var col attest.Collateral
	for _, path := range paths {
		st, err := os.Stat(path)
		if err != nil {
			return nil, fileError(exitUsage, "the collateral", path, err)
		}
		if st.IsDir() {
			err = a.readCollateralDir(path, &col)
		} else {
			var some attest.Collateral
			if some, err = readCollateralFile(path); err == nil && len(some) == 0 {
				err = failf(exitUsage, "give certificates, revocation lists or Intel's JSON, as the vendors serve them",
					"--collateral %s: %w", path, errNoCollateral)
			}
			col = append(col, some...)
		}
		if err != nil {
			return nil, err
		}
		if len(col) > appraisal.MaxCollateral {
			return nil, failf(exitUsage, "name the directory of fewer machines", "--collateral: more than %d entries", appraisal.MaxCollateral)
		}
	}
	return col, nil
}

// readCollateralDir reads a directory and those below it in the order of their
// names.
func (a *app) readCollateralDir(dir string, col *attest.Collateral) error {
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fileError(exitUsage, "the collateral", path, err)
		case strings.HasPrefix(d.Name(), ".") && path != dir && d.IsDir():
			return filepath.SkipDir
		case d.IsDir() || strings.HasPrefix(d.Name(), "."):
			return nil
		}
		if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() || st.Size() > maxCollateralFile {
			return nil
		}
		some, err := readCollateralFile(path)
		if err != nil {
			return err
		}
		found += len(some)
		*col = append(*col, some...)
		if len(*col) > appraisal.MaxCollateral {
			return filepath.SkipAll // the caller says so
		}
		return nil
	})
	if err == nil && found == 0 {
		a.ui.warningf("--collateral %s: no file in it is collateral", dir)
	}
	return err
}

// readCollateralFile gives what is in one file; nothing if it is no
// collateral.
func readCollateralFile(path string) (attest.Collateral, error) {
	b, err := readLimited(path, "the collateral", maxCollateralFile, exitUsage)
	if err != nil {
		return nil, err
	}
	col, err := parseCollateral(b)
	if err != nil {
		return nil, failf(exitUsage, "take the damaged file away, or get it anew", "--collateral %s: %w", path, err)
	}
	return col, nil
}

// parseCollateral recognises collateral by its content. A file that says it is
// PEM must be so to its end.
func parseCollateral(b []byte) (attest.Collateral, error) {
	text := bytes.TrimSpace(b)
	one := func(mediaType string, value []byte) (attest.Collateral, error) {
		return attest.Collateral{{MediaType: mediaType, Value: value}}, nil
	}
	switch {
	case bytes.HasPrefix(text, []byte("-----BEGIN CERTIFICATE-----")), bytes.HasPrefix(text, []byte("-----BEGIN X509 CRL-----")):
		return parsePEM(text)
	case bytes.HasPrefix(text, []byte(`{"tcbInfo"`)):
		return one(attest.MediaTypeIntelTCBInfo, b)
	case bytes.HasPrefix(text, []byte(`{"enclaveIdentity"`)):
		return one(attest.MediaTypeIntelQEIdentity, b)
	}
	if len(b) > 0 && b[0] == 0x30 { // an ASN.1 sequence
		if _, err := x509.ParseCertificate(b); err == nil {
			return one(attest.MediaTypeCertificate, b)
		}
		if _, err := x509.ParseRevocationList(b); err == nil {
			return one(attest.MediaTypeCRL, b)
		}
	}
	return nil, nil
}

func parsePEM(text []byte) (attest.Collateral, error) {
	var col attest.Collateral
	for rest := text; len(bytes.TrimSpace(rest)) > 0; {
		block, after := pem.Decode(rest)
		if block == nil {
			return nil, fmt.Errorf("something that is no PEM block after %d of them", len(col))
		}
		switch block.Type {
		case "CERTIFICATE":
			col = append(col, attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: block.Bytes})
		case "X509 CRL":
			col = append(col, attest.Evidence{MediaType: attest.MediaTypeCRL, Value: block.Bytes})
		default:
			return nil, fmt.Errorf("a PEM block of type %q, expected certificates and revocation lists", block.Type)
		}
		rest = after
	}
	return col, nil
}
