// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest/collateral"
	"github.com/enarx/enarx-go/attest/collateral/item"
)

func newCollateralExportCmd(a *app) *cobra.Command {
	var cache string
	var only []string
	c := &cobra.Command{
		Use: "export [flags] DIR|FILE.tar", Short: "Write what is kept to a directory or archive, for an air gap",
		Long: `Write what is kept to DIR, which must not be there yet or be empty, or to FILE.tar:
plain files with telling names, as the vendors serve them, and manifest.json with their
digests. DIR is what enarx verify --collateral reads, and both are what enarx collateral
import takes.`,
		Example: "  enarx collateral export --for report.bin for-the-courier/\n  enarx verify --collateral for-the-courier/ report.bin",
		Args:    oneArg("DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.exportCollateral(c.Context(), args[0], cache, only)
		},
	}
	cacheFlag(c, &cache)
	c.Flags().StringArrayVar(&only, "for", nil, "export only what the evidence in `FILE` needs (repeatable)")
	return c
}

func isTar(path string) bool { return strings.HasSuffix(path, ".tar") || path == "-" }

func (a *app) exportCollateral(ctx context.Context, to, dir string, only []string) error {
	cache, err := a.openCollateral(dir)
	if err != nil {
		return err
	}
	entries, problems, err := cache.List()
	if err != nil {
		return fail(exitInternal, "", err)
	}
	for _, p := range problems {
		a.ui.warningf("%s is damaged (%v) and left out", p.Name, p.Err)
	}
	if len(only) > 0 {
		if entries, err = a.entriesFor(ctx, cache, only); err != nil {
			return err
		}
	}
	if len(entries) == 0 {
		return failf(exitUsage, "fetch it first with enarx collateral fetch", "there is nothing to export")
	}
	files, err := collateral.Files(entries)
	if err != nil {
		return fail(exitInternal, "", err)
	}
	if isTar(to) {
		var b bytes.Buffer
		if err := collateral.WriteTar(&b, files); err != nil {
			return fail(exitInternal, "", err)
		}
		if to == "-" {
			return a.emit("%s", b.Bytes())
		}
		if err := writeFile(to, "the archive", b.Bytes(), 0o644, false); err != nil {
			return err
		}
	} else if err := collateral.WriteDir(to, files); err != nil {
		return fail(exitUsage, "", err)
	}
	a.ui.notef("exported %d items to %s", len(entries), to)
	return nil
}

// entriesFor are the entries that evidence needs; all of them must be there.
func (a *app) entriesFor(ctx context.Context, cache *collateral.Cache, files []string) ([]*collateral.Entry, error) {
	pieces, err := a.readPieces(files)
	if err != nil {
		return nil, err
	}
	seen := map[item.Item]bool{}
	var entries []*collateral.Entry
	for _, p := range pieces {
		_, results, err := cache.For(ctx, p.evidence, p.collateral, item.Hint{}, collateral.Offline)
		if err != nil {
			return nil, fail(exitUsage, "", fmt.Errorf("%s: %w", p.file, err))
		}
		for _, r := range results {
			switch {
			case r.Entry == nil:
				return nil, fail(exitUsage, "fetch it first with enarx collateral fetch "+p.file, fmt.Errorf("%s: %w", p.file, r.Err))
			case r.Outcome == collateral.Failed:
				a.ui.warningf("%v", r.Err) // it has ended, and may be what is wanted for saved evidence
			}
			if !seen[r.Item] {
				seen[r.Item] = true
				entries = append(entries, r.Entry)
			}
		}
	}
	return entries, nil
}

func newCollateralImportCmd(a *app) *cobra.Command {
	var cache string
	var asJSON bool
	c := &cobra.Command{
		Use: "import [flags] DIR|FILE.tar|-", Short: "Take in what was exported elsewhere",
		Long: `Take in what enarx collateral export wrote on another machine. Each item is checked under
the vendor's root first, and none takes the place of something newer. If one is refused
the others are taken all the same, and the exit code is 125.`,
		Args: oneArg("DIR"),
		RunE: func(c *cobra.Command, args []string) error {
			a.ui.jsonErrors = asJSON
			return a.importCollateral(c.Context(), args[0], cache, asJSON)
		},
	}
	cacheFlag(c, &cache)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) importCollateral(ctx context.Context, path, dir string, asJSON bool) error {
	files, err := a.readExport(path)
	if err != nil {
		return err
	}
	entries, err := collateral.Parse(files)
	if err != nil {
		return fail(exitAttest, "the export is damaged or was changed on its way; nothing was taken", fmt.Errorf("%s: %w", path, err))
	}
	cache, err := a.openCollateral(dir)
	if err != nil {
		return err
	}
	got := &fetchResults{at: collateralNow(), within: -1}
	got.add(cache.Import(ctx, entries))
	if asJSON {
		err = a.writeJSON(map[string]any{"items": got.infos()})
	} else {
		err = a.emit("%s\n", counted(got.list))
	}
	if err != nil {
		return err
	}
	var errs []error
	code := exitInternal
	for _, r := range got.list {
		var refused *item.RefusedError
		switch {
		case r.Outcome == collateral.Kept:
			a.ui.notef("%v", r.Err)
		case r.Outcome == collateral.Failed:
			if errors.As(r.Err, &refused) {
				code = exitAttest
			}
			errs = append(errs, r.Err)
		}
		if r.Entry != nil && !asJSON {
			if s := r.Entry.Announcement(got.at, -1); s != "" {
				a.ui.warningf("%s", s)
			}
		}
	}
	if len(errs) > 0 {
		return fail(code, "", errors.Join(errs...))
	}
	return nil
}

func (a *app) readExport(path string) ([]collateral.File, error) {
	bad := func(err error) error { return fail(exitUsage, "", fmt.Errorf("%s: %w", path, err)) }
	var in io.Reader = a.stdin
	if path != "-" {
		st, err := os.Stat(path)
		if err != nil {
			return nil, fileError(exitUsage, "the export", path, err)
		}
		if st.IsDir() {
			files, err := collateral.ReadDir(path)
			if err != nil {
				return nil, bad(err)
			}
			return files, nil
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, fileError(exitUsage, "the export", path, err)
		}
		defer f.Close()
		in = f
	}
	files, err := collateral.ReadTar(in)
	if err != nil {
		return nil, bad(err)
	}
	return files, nil
}
