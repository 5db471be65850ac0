// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/enarx/enarx-go/attest/attesttest/collateraltest"
)

// vendors are the running vendors by the story's directory.
var vendors = newShared[*collateraltest.Server]()

// cmdVendors is "vendors" alone: AMD and Intel with recorded answers on a
// loopback port. Sets VENDORS to their URL. Later in the story
//
//	vendors break PATH forged|truncated|hang|STATUS|throttled SECONDS|swapped PATH
//	vendors mend PATH
//	vendors asked PATH TIMES
//
// make them misbehave, and count.
func cmdVendors(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(".")
	if len(args) == 0 {
		root, err := collateraltest.ModuleRoot()
		ts.Check(err)
		s, err := collateraltest.New(root)
		ts.Check(err)
		h := httptest.NewServer(s)
		ts.Setenv("VENDORS", h.URL)
		vendors.set(dir, s)
		ts.Defer(func() {
			vendors.take(dir)
			h.CloseClientConnections()
			h.Close()
		})
		return
	}
	s, ok := vendors.take(dir)
	if !ok || len(args) < 2 {
		ts.Fatalf("usage: vendors, then vendors break|mend|asked PATH …")
	}
	vendors.set(dir, s)
	switch args[0] {
	case "mend":
		s.Break(args[1], nil)
	case "asked":
		want, err := strconv.Atoi(args[2])
		ts.Check(err)
		if got := s.Requests(args[1]); got != want {
			ts.Fatalf("%s was asked for %d times, want %d", args[1], got, want)
		}
	case "break":
		f, err := fault(s, args[2:])
		ts.Check(err)
		s.Break(args[1], f)
	default:
		ts.Fatalf("vendors %s: no such word", args[0])
	}
}

func fault(s *collateraltest.Server, args []string) (collateraltest.Fault, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("how are they to break?")
	}
	switch args[0] {
	case "forged":
		return collateraltest.Forged, nil
	case "truncated":
		return collateraltest.Truncated, nil
	case "hang":
		return collateraltest.Hang, nil
	case "throttled":
		return collateraltest.Throttled(429, args[1]), nil
	case "swapped":
		u, err := url.Parse(args[1])
		if err != nil {
			return nil, err
		}
		return s.Swapped(u.Path, u.Query()), nil
	}
	code, err := strconv.Atoi(args[0])
	return collateraltest.Status(code), err
}

// cmdVector is "vector NAME FILE": a recorded file, by its path below the
// testdata of package snpreport ("snp/…") or dcap ("tdx/…", "sgx/…").
func cmdVector(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: vector NAME FILE")
	}
	root, err := collateraltest.ModuleRoot()
	ts.Check(err)
	name := filepath.Join("dcap", "testdata", args[0])
	if rest, err := filepath.Rel("snp", args[0]); err == nil && !filepath.IsAbs(rest) && rest[0] != '.' {
		name = filepath.Join("snpreport", "testdata", rest)
	}
	b, err := os.ReadFile(filepath.Join(root, "attest", "internal", name))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o600))
}
