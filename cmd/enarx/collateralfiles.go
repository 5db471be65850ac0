// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/appraisal"
	"github.com/enarx/enarx-go/attest/evidence"
)

// maxCollateralFile bounds one file of collateral; a chain in PEM has some
// 4 KiB, a TCB info 9, an event log 60.
const maxCollateralFile = 1 << 20

// collateralFor is the collateral of --collateral or, where it was not given, of
// the cache that enarx collateral fetch fills. Nothing is fetched.
func (a *app) collateralFor(paths []string) (attest.Collateral, error) {
	if len(paths) > 0 {
		return a.readCollateral(paths)
	}
	dir, err := collateralDir()
	if err != nil {
		return nil, nil // a user without a cache directory has no cache
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, nil
	}
	cache, err := a.openCollateral(dir)
	if err != nil {
		return nil, err
	}
	entries, problems, err := cache.List()
	if err != nil {
		return nil, fail(exitInternal, "name what to use with --collateral PATH", fmt.Errorf("reading the collateral cache: %w", err))
	}
	for _, p := range problems {
		a.ui.warningf("collateral cache: %s cannot be used: %v", oneLine(p.Name), p.Err)
	}
	var col attest.Collateral
	for _, e := range entries {
		col = append(col, e.Parts...)
	}
	if len(col) > appraisal.MaxCollateral {
		return nil, failf(exitUsage, "name the directory of fewer machines with --collateral", "the collateral cache has more than %d entries", appraisal.MaxCollateral)
	}
	return col, nil
}

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
			var b []byte
			var some attest.Collateral
			if b, err = readLimited(path, "the collateral", maxCollateralFile, exitUsage); err == nil {
				if some, err = evidence.FindCollateral(b); err != nil {
					err = fail(exitUsage, "give certificates, revocation lists or Intel's JSON, as the vendors serve them", fmt.Errorf("--collateral %s: %w", path, err))
				}
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
	var damaged []string
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
		b, err := readLimited(path, "the collateral", maxCollateralFile, exitUsage)
		if err != nil {
			return err
		}
		some, err := evidence.FindCollateral(b)
		if err != nil && looksLikeCollateral(path) {
			if _, err := evidence.Find(b); err != nil {
				damaged = append(damaged, filepath.Base(path))
			}
		}
		found += len(some)
		*col = append(*col, some...)
		if len(*col) > appraisal.MaxCollateral {
			return filepath.SkipAll // the caller says so
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(damaged) > 0:
		a.ui.warningf("--collateral %s: cannot be read as collateral and is left out: %s", dir, strings.Join(damaged, ", "))
	case found == 0:
		a.ui.warningf("--collateral %s: no file in it is collateral", dir)
	}
	return nil
}

// looksLikeCollateral goes by the name alone: it decides whether a file that
// cannot be used is worth a warning.
func looksLikeCollateral(path string) bool {
	name := strings.ToLower(filepath.Base(path))
	switch filepath.Ext(name) {
	case ".der", ".pem", ".crt", ".cer", ".crl":
		return true
	case ".json", "":
		return strings.Contains(name, "tcb") || strings.Contains(name, "identity") || strings.Contains(name, "crl")
	}
	return false
}
