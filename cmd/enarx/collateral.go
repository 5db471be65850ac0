// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/collateral"
	"github.com/enarx/enarx-go/attest/evidence"
)

// collateralNow is the clock of the collateral commands.
var collateralNow = time.Now // a variable for tests only

const (
	// maxCAFile bounds the file of --ca: the bundles of systems have some
	// 200 KiB.
	maxCAFile = 1 << 20
	// maxServiceKey bounds a subscription key; Intel's have 32 characters.
	maxServiceKey = 1 << 10
)

func newCollateralCmd(a *app) *cobra.Command {
	c := group("collateral", "Fetch and keep what vendors publish about their hardware",
		`Collateral is what a verification needs besides the evidence: certificates of chips,
revocation lists, Intel's TCB info. These commands fetch it from AMD and Intel, or from
mirrors of theirs, keep it, say when it ends, and carry it across an air gap. Nothing of
it is trusted for lying there: enarx verify checks every byte again.`)
	c.AddCommand(newCollateralFetchCmd(a), newCollateralListCmd(a), newCollateralExportCmd(a), newCollateralImportCmd(a))
	return c
}

// cacheFlag adds --cache, which all of the commands have.
func cacheFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "cache", "", "`DIR` of the cache (default: enarx/collateral below XDG_CACHE_HOME)")
}

// collateralDir is where the cache lies unless --cache says otherwise.
func collateralDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", failf(exitUsage, "name a directory with --cache DIR", "finding the cache: %w", err)
	}
	return filepath.Join(base, "enarx", "collateral"), nil
}

// openCollateral opens the cache with the given sources.
func (a *app) openCollateral(dir string, sources ...collateral.Source) (*collateral.Cache, error) {
	if dir == "" {
		var err error
		if dir, err = collateralDir(); err != nil {
			return nil, err
		}
	}
	c, err := collateral.Open(collateral.Options{
		Dir: dir, Sources: sources, Now: collateralNow,
		Notice: func(s string) { a.ui.warningf("%s", s) },
	})
	if err != nil {
		return nil, fail(exitInternal, "", err)
	}
	return c, nil
}

// sourceFlags say whom to ask.
type sourceFlags struct {
	kds, pcs, pcsKey string
	from             []string
	ca               string
	plainHTTP        bool
}

func (f *sourceFlags) add(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&f.kds, "kds", "", "`URL` of a mirror of AMD's key service, asked in its place")
	fs.StringVar(&f.pcs, "pcs", "", "`URL` of a caching service (PCCS), asked in place of Intel's service")
	fs.StringVar(&f.pcsKey, "pcs-key", "", "`FILE` with a subscription key of Intel's; only PCK certificates need one")
	fs.StringArrayVar(&f.from, "from", nil, "exported `DIR` to look into before any service is asked (repeatable)")
	fs.StringVar(&f.ca, "ca", "", "`FILE` of the certificates that mirrors are known by, in place of this system's")
	fs.BoolVar(&f.plainHTTP, "insecure-plain-http", false, "ask mirrors over plain http; whoever listens learns which machines are asked about")
}

func (f *sourceFlags) sources() ([]collateral.Source, error) {
	o := collateral.ClientOptions{PlainHTTP: f.plainHTTP, UserAgent: "enarx/" + version, Now: collateralNow}
	if f.ca != "" {
		text, err := readLimited(f.ca, "the certificates of --ca", maxCAFile, exitUsage)
		if err != nil {
			return nil, err
		}
		o.Roots = x509.NewCertPool()
		if !o.Roots.AppendCertsFromPEM(text) {
			return nil, failf(exitUsage, "give them in PEM", "--ca %s: no certificate in it", f.ca)
		}
	}
	key := ""
	if f.pcsKey != "" {
		text, err := readLimited(f.pcsKey, "the subscription key", maxServiceKey, exitUsage)
		if err != nil {
			return nil, err
		}
		if key = strings.TrimSpace(string(text)); strings.ContainsAny(key, "\r\n") || key == "" {
			return nil, failf(exitUsage, "", "--pcs-key %s: expected one line", f.pcsKey)
		}
	}
	for _, m := range []struct{ flag, url string }{{"--kds", f.kds}, {"--pcs", f.pcs}} {
		if err := f.checkMirror(m.flag, m.url); err != nil {
			return nil, err
		}
	}
	var list []collateral.Source
	for _, dir := range f.from {
		if _, err := os.Stat(filepath.Join(dir, collateral.ManifestFile)); err != nil {
			return nil, failf(exitUsage, "name a directory made by enarx collateral export", "--from %s: no %s in it", dir, collateral.ManifestFile)
		}
		list = append(list, &collateral.Dir{Path: dir})
	}
	client := collateral.NewClient(o)
	return append(list, &collateral.KDS{Client: client, Base: f.kds}, &collateral.PCS{Client: client, Base: f.pcs, Key: key}, &collateral.AWS{Client: client}), nil
}

// checkMirror says at once what the client would say of every item.
func (f *sourceFlags) checkMirror(flag, text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return failf(exitUsage, "write it as https://HOST:PORT", "%s %q is not the address of a service", flag, text)
	}
	return nil
}

// piece is a piece of evidence with the file that it came in.
type piece struct {
	file       string
	evidence   attest.Evidence
	collateral attest.Collateral
}

// readPieces reads evidence of any known format.
func (a *app) readPieces(files []string) ([]piece, error) {
	var out []piece
	for _, name := range files {
		b, err := a.readInput(name, "the evidence", evidence.MaxFile)
		if err != nil {
			return nil, err
		}
		found, err := evidence.Find(b)
		if err != nil {
			return nil, fail(exitUsage, "give the evidence itself: a report, a quote, or a file that holds one", fmt.Errorf("%s: %w", name, err))
		}
		for _, p := range found.Pieces {
			out = append(out, piece{name, p.Evidence, p.Collateral})
		}
	}
	return out, nil
}

// collateralInfo is one item in the JSON of these commands.
type collateralInfo struct {
	Name       string `json:"name"`
	Item       string `json:"item"` // for people
	Outcome    string `json:"outcome,omitempty"`
	Why        string `json:"why,omitempty"`
	URL        string `json:"url,omitempty"`
	Size       int    `json:"size,omitempty"`
	Fetched    string `json:"fetched,omitempty"`
	Checked    string `json:"checked,omitempty"`
	ValidFrom  string `json:"valid_from,omitempty"`
	ValidUntil string `json:"valid_until,omitempty"`
	DaysLeft   *int   `json:"days_left,omitempty"`
	State      string `json:"state,omitempty"`
	Announce   string `json:"announcement,omitempty"`
	Error      string `json:"error,omitempty"`
	Rule       string `json:"rule,omitempty"` // by which an answer was not taken
}

// fill adds what an entry says, at the time.
func (i *collateralInfo) fill(e *collateral.Entry, at time.Time, within time.Duration) {
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	days := e.DaysLeft(at)
	i.URL, i.Size, i.DaysLeft = e.URL, e.Size(), &days
	i.Fetched, i.Checked, i.ValidFrom, i.ValidUntil = stamp(e.Fetched), stamp(e.Checked), stamp(e.Info.From), stamp(e.Info.Until)
	i.State, i.Announce = string(e.State(at, within)), e.Announcement(at, within)
}

// daysFlag turns --within into a duration; negative means the defaults.
func daysFlag(days int) (time.Duration, error) {
	const most = 100 * 365
	switch {
	case days > most:
		return 0, failf(exitUsage, "", "--within %d: expected at most %d days", days, most)
	case days < 0:
		return -1, nil
	}
	return time.Duration(days) * 24 * time.Hour, nil
}

func addWithin(c *cobra.Command, to *int) {
	c.Flags().IntVar(to, "within", -1, "announce what ends within so many `DAYS` (default: 7 for what lives a month, 30 for what lives a year)")
}
