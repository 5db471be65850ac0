// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest/collateral/item"
)

// An export is a directory, or the same files in a tar archive: each part of
// each item is a plain file with a telling name, which a verifier recognises by
// its content, and manifest.json says what they are, with their digests.

// ManifestFile is the name of the manifest in an export.
const ManifestFile = "manifest.json"

const manifestFormat = "enarx-collateral"

type manifest struct {
	Format  string   `json:"format"`
	Version int      `json:"version"`
	Items   []record `json:"items"`
}

// File is one file of an export.
type File struct {
	Name string
	Data []byte
}

// fileName is what a file of an export may be called: it goes nowhere but into
// the directory that it is written to.
var fileName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*(\.[a-z0-9]+){1,3}$`)

const maxFileName = 240

func goodName(s string) bool { return len(s) <= maxFileName && fileName.MatchString(s) }

// Files makes the files of an export, the manifest first.
func Files(entries []*Entry) ([]File, error) {
	if len(entries) > maxArchiveItems {
		return nil, fmt.Errorf("exporting %d items, the most is %d", len(entries), maxArchiveItems)
	}
	m := manifest{Format: manifestFormat, Version: recordVersion, Items: []record{}}
	files := []File{{Name: ManifestFile}}
	seen := map[string]bool{ManifestFile: true}
	for _, e := range entries {
		r := newRecord(e)
		r.Version = 0 // the manifest's counts
		names := e.Item.FileNames(len(e.Parts))
		if len(names) != len(e.Parts) {
			return nil, fmt.Errorf("exporting %v: %d parts, expected %d", e.Item, len(e.Parts), len(names))
		}
		for i, p := range e.Parts {
			if !goodName(names[i]) || seen[names[i]] {
				return nil, fmt.Errorf("exporting %v: the name %q cannot be used", e.Item, names[i])
			}
			seen[names[i]] = true
			r.Parts[i].File = names[i]
			files = append(files, File{names[i], p.Value})
		}
		m.Items = append(m.Items, *r)
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest: %w", err)
	}
	files[0].Data = append(b, '\n')
	return files, nil
}

// WriteDir writes an export to a directory that is not there yet, or empty: it
// is there whole or not at all.
func WriteDir(dir string, files []File) error {
	if list, err := os.ReadDir(dir); err == nil && len(list) > 0 {
		return fmt.Errorf("exporting to %s: it is not empty; name another directory", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("exporting to %s: %w", dir, err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(filepath.Clean(dir)), ".enarx-export-*")
	if err != nil {
		return fmt.Errorf("exporting to %s: %w", dir, err)
	}
	defer os.RemoveAll(temp)
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(temp, f.Name), f.Data, 0o644); err != nil {
			return fmt.Errorf("exporting to %s: %w", dir, err)
		}
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return fmt.Errorf("exporting to %s: %w", dir, err)
	}
	// An empty directory makes way; one that is no longer empty does not.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("exporting to %s: %w", dir, err)
	}
	if err := os.Rename(temp, dir); err != nil {
		return fmt.Errorf("exporting to %s: %w", dir, err)
	}
	return nil
}

// WriteTar writes an export as a tar archive: the same files give the same
// bytes.
func WriteTar(w io.Writer, files []File) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		h := &tar.Header{Name: f.Name, Mode: 0o644, Size: int64(len(f.Data)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0)}
		if err := t.WriteHeader(h); err != nil {
			return fmt.Errorf("writing the archive: %w", err)
		}
		if _, err := t.Write(f.Data); err != nil {
			return fmt.Errorf("writing the archive: %w", err)
		}
	}
	return t.Close()
}

// ReadTar reads the files of an export from a tar archive. Nothing is written
// anywhere, names are those of plain files, and sizes are bounded.
func ReadTar(r io.Reader) ([]File, error) {
	// Headers and padding cost up to 3 KiB for each file.
	limited := &io.LimitedReader{R: r, N: maxArchive + 3<<10*maxArchiveFiles}
	t := tar.NewReader(limited)
	var files []File
	seen, sum := map[string]bool{}, int64(0)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the archive: %w", err)
		}
		name := strings.TrimPrefix(h.Name, "./")
		if h.Typeflag == tar.TypeDir && (name == "" || name == ".") {
			continue // what tar writes for the directory itself
		}
		limit := int64(item.MaxPart)
		if name == ManifestFile {
			limit = maxManifest
		}
		switch {
		case h.Typeflag != tar.TypeReg:
			return nil, fmt.Errorf("reading the archive: %q is no plain file", bounded(h.Name, 100))
		case !goodName(name):
			return nil, fmt.Errorf("reading the archive: %q is no name of a file of an export", bounded(h.Name, 100))
		case seen[name]:
			return nil, fmt.Errorf("reading the archive: %s is in it twice", name)
		case h.Size > limit:
			return nil, fmt.Errorf("reading the archive: %s has %d bytes, expected at most %d", name, h.Size, limit)
		case sum+h.Size > maxArchive || len(files) == maxArchiveFiles:
			return nil, fmt.Errorf("reading the archive: more than %d files or %d bytes", maxArchiveFiles, maxArchive)
		}
		b, err := io.ReadAll(io.LimitReader(t, limit+1))
		if err != nil {
			return nil, fmt.Errorf("reading the archive: %s: %w", name, err)
		}
		seen[name] = true
		sum += int64(len(b))
		files = append(files, File{name, b})
	}
}

// ReadDir reads the files of an export from a directory: those that its
// manifest names. Others may lie beside them, such as a VLEK from the host.
func ReadDir(dir string) ([]File, error) {
	b, err := readBounded(filepath.Join(dir, ManifestFile), maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has no %s: it is no export of collateral", dir, ManifestFile)
	} else if err != nil {
		return nil, fmt.Errorf("reading the export: %w", err)
	}
	m, err := parseManifest(b)
	if err != nil {
		return nil, err
	}
	files, sum := []File{{ManifestFile, b}}, int64(len(b))
	for _, r := range m.Items {
		for _, p := range r.Parts {
			b, err := readBounded(filepath.Join(dir, p.File), item.MaxPart)
			if err != nil {
				return nil, fmt.Errorf("reading the export: %w", err)
			}
			if sum += int64(len(b)); sum > maxArchive {
				return nil, fmt.Errorf("reading the export: more than %d bytes", maxArchive)
			}
			files = append(files, File{p.File, b})
		}
	}
	return files, nil
}

func parseManifest(b []byte) (*manifest, error) {
	if len(b) > maxManifest {
		return nil, fmt.Errorf("manifest of %d bytes, expected at most %d", len(b), maxManifest)
	}
	var m manifest
	if err := decodeStrict(b, &m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if m.Format != manifestFormat || m.Version != recordVersion {
		return nil, fmt.Errorf("manifest of format %q, version %d, expected %q, version %d", bounded(m.Format, 40), m.Version, manifestFormat, recordVersion)
	}
	if len(m.Items) > maxArchiveItems {
		return nil, fmt.Errorf("manifest of %d items, expected at most %d", len(m.Items), maxArchiveItems)
	}
	items, names := map[string]bool{}, map[string]bool{ManifestFile: true}
	for i := range m.Items {
		r := &m.Items[i]
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("manifest: item %d: %w", i, err)
		}
		if items[r.Item.Name()] {
			return nil, fmt.Errorf("manifest: %v stands in it twice", r.Item)
		}
		items[r.Item.Name()] = true
		for _, p := range r.Parts {
			if !goodName(p.File) || names[p.File] {
				return nil, fmt.Errorf("manifest: %v: file %q is no name of a file of an export, or stands in it twice", r.Item, bounded(p.File, 100))
			}
			names[p.File] = true
		}
	}
	return &m, nil
}

// Parse makes entries of the files of an export: their digests are checked and
// nothing else; [Cache.Import] and whoever verifies with them check the rest.
func Parse(files []File) ([]*Entry, error) {
	byName := map[string][]byte{}
	for _, f := range files {
		byName[f.Name] = f.Data
	}
	b, ok := byName[ManifestFile]
	if !ok {
		return nil, fmt.Errorf("no %s: it is no export of collateral", ManifestFile)
	}
	m, err := parseManifest(b)
	if err != nil {
		return nil, err
	}
	delete(byName, ManifestFile)
	var entries []*Entry
	for i := range m.Items {
		e, err := m.Items[i].entry(func(p partRecord) ([]byte, error) {
			b, ok := byName[p.File]
			if !ok {
				return nil, fmt.Errorf("%s is missing", p.File)
			}
			delete(byName, p.File)
			return b, nil
		})
		if err != nil {
			return nil, fmt.Errorf("%v: %w", m.Items[i].Item, err)
		}
		entries = append(entries, e)
	}
	for name := range byName {
		return nil, fmt.Errorf("%s is not in the manifest", bounded(name, 100))
	}
	return entries, nil
}

// Import puts entries of an export into the cache: each is checked under the
// vendor's root, and none takes the place of something newer. One that has
// ended is taken where there is none: it is needed to verify saved evidence at
// an earlier time.
func (c *Cache) Import(ctx context.Context, entries []*Entry) []Result {
	now := c.o.Now()
	var results []Result
	for _, e := range entries {
		results = append(results, c.importOne(ctx, e, now))
	}
	return results
}

func (c *Cache) importOne(ctx context.Context, e *Entry, now time.Time) Result {
	info, err := item.Check(e.Item, e.Parts)
	if err != nil {
		return Result{Item: e.Item, Outcome: Failed, Err: err}
	}
	in := *e
	in.Info = *info
	for _, t := range []*time.Time{&in.Fetched, &in.Checked} {
		if t.After(now) {
			*t = now // another machine's clock
		}
	}
	r, err := c.replace(ctx, &in, now, func(have *Entry) error {
		if have == nil || have.State(now, 0) != Current {
			return nil
		}
		switch in.State(now, 0) {
		case NotYet:
			return &item.RefusedError{Item: e.Item, Rule: item.RuleEarly, Err: fmt.Errorf("it is valid from %s on", stamp(in.Info.From))}
		case Ended:
			return &item.RefusedError{Item: e.Item, Rule: item.RuleEnded, Err: fmt.Errorf("it ended on %s", stamp(in.Info.Until))}
		}
		return nil
	})
	if err == nil {
		return r
	}
	var refused *item.RefusedError
	if errors.As(err, &refused) { // what is there is newer, or valid where this is not
		return Result{Item: e.Item, Outcome: Kept, Err: refused}
	}
	return Result{Item: e.Item, Outcome: Failed, Err: err}
}

// Dir is an exported directory as a source.
type Dir struct {
	// Path is the directory that holds the manifest.
	Path string
}

// String is the directory.
func (d *Dir) String() string { return d.Path }

// Get reads an item out of the directory.
func (d *Dir) Get(_ context.Context, it item.Item) (*Answer, error) {
	b, err := readBounded(filepath.Join(d.Path, ManifestFile), maxManifest)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest in %s: %w", d.Path, err)
	}
	m, err := parseManifest(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Path, err)
	}
	for i := range m.Items {
		if m.Items[i].Item != it {
			continue
		}
		e, err := m.Items[i].entry(func(p partRecord) ([]byte, error) {
			return readBounded(filepath.Join(d.Path, p.File), item.MaxPart)
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %v: %w", d.Path, it, err)
		}
		return &Answer{Parts: e.Parts, URL: e.URL}, nil
	}
	return nil, &NotFoundError{it, fmt.Errorf("%s has no %v", d.Path, it)}
}
