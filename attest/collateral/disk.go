// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest/collateral/item"
)

// disk is the directory of a cache:
//
//	items/NAME/record.json   what the item is, where it is from, its digests
//	items/NAME/DIGEST        the bytes of each part
//	.quarantine/             what was found damaged
//	lock                     held while something is replaced
//
// A part is named by its digest and the record is renamed into place last, so
// that at every moment the directory holds the old item whole or the new one.
type disk struct {
	dir      string
	maxBytes int64
}

const (
	itemsDir, quarantineDir = "items", ".quarantine"
	recordFile              = "record.json"
	tempPrefix              = ".new-"
)

// openDisk makes the directory, for its owner alone, or checks that it is.
func openDisk(dir string, maxBytes int64) (*disk, error) {
	for _, d := range []string{dir, filepath.Join(dir, itemsDir), filepath.Join(dir, quarantineDir)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("making the cache: %w", err)
		}
	}
	st, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the cache: %w", err)
	}
	if st.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("opening the cache: others may write to %s (mode %v), expected 0700: change its mode, or name another directory", dir, st.Mode().Perm())
	}
	return &disk{dir, maxBytes}, nil
}

func (d *disk) itemDir(it item.Item) string { return filepath.Join(d.dir, itemsDir, it.Name()) }

// errDamaged is wrapped by what is wrong with the files of an item.
var errDamaged = errors.New("damaged")

// load reads an item with its bytes; fs.ErrNotExist means that it is not
// there. The digests are checked, the signatures are not.
func (d *disk) load(it item.Item) (*Entry, error) {
	e, err := d.loadOnce(it)
	if errors.Is(err, errDamaged) {
		// Another process may have replaced it between record and parts.
		e, err = d.loadOnce(it)
	}
	return e, err
}

func (d *disk) loadOnce(it item.Item) (*Entry, error) {
	dir := d.itemDir(it)
	b, err := readBounded(filepath.Join(dir, recordFile), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	} else if err != nil {
		return nil, fmt.Errorf("%w: record: %w", errDamaged, err)
	}
	var r record
	if err := decodeStrict(b, &r); err != nil {
		return nil, fmt.Errorf("%w: record: %w", errDamaged, err)
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("%w: record: %w", errDamaged, err)
	}
	if r.Item != it || r.Version != recordVersion {
		return nil, fmt.Errorf("%w: record of version %d of %v", errDamaged, r.Version, r.Item)
	}
	e, err := r.entry(func(p partRecord) ([]byte, error) {
		return readBounded(filepath.Join(dir, strings.ToLower(p.SHA256)), item.MaxPart)
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return e, nil
}

// readBounded reads a regular file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > limit {
		return nil, fmt.Errorf("%s: %v of %d bytes, expected a file of at most %d", filepath.Base(path), st.Mode().Type(), st.Size(), limit)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: more than %d bytes", filepath.Base(path), limit)
	}
	return b, err
}

// names are the items that are there, by the name of their directory.
func (d *disk) names() ([]string, error) {
	list, err := os.ReadDir(filepath.Join(d.dir, itemsDir))
	if err != nil {
		return nil, fmt.Errorf("reading the cache: %w", err)
	}
	if len(list) > maxEntries {
		return nil, fmt.Errorf("reading the cache: %d items, expected at most %d", len(list), maxEntries)
	}
	var names []string
	for _, e := range list {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// itemNamed reads which item a directory says it is of.
func (d *disk) itemNamed(name string) (item.Item, error) {
	b, err := readBounded(filepath.Join(d.dir, itemsDir, name, recordFile), maxRecord)
	if err != nil {
		return item.Item{}, err
	}
	var r record
	if err := decodeStrict(b, &r); err != nil {
		return item.Item{}, fmt.Errorf("%w: record: %w", errDamaged, err)
	}
	if err := r.check(); err != nil {
		return item.Item{}, fmt.Errorf("%w: record: %w", errDamaged, err)
	}
	if r.Item.Name() != name {
		return item.Item{}, fmt.Errorf("%w: record of %s", errDamaged, r.Item.Name())
	}
	return r.Item, nil
}

// locked runs f while no other process or goroutine replaces anything here.
func (d *disk) locked(ctx context.Context, f func() error) error {
	unlock, err := lockFile(ctx, filepath.Join(d.dir, "lock"))
	if err != nil {
		return fmt.Errorf("locking the cache: %w", err)
	}
	defer unlock()
	return f()
}

// FullError says that a cache has no room; nothing that is still valid makes
// room for something new.
type FullError struct{ Bytes, Limit int64 }

func (e *FullError) Error() string {
	return fmt.Sprintf("the cache would hold %d bytes, more than the %d that it may: remove what is not needed, or raise the limit", e.Bytes, e.Limit)
}

// store puts e in the place of what is there. The lock is held. now is when
// items count as ended that may make room.
func (d *disk) store(e *Entry, now time.Time) error {
	if err := d.makeRoom(int64(e.Size())+maxRecord/8, e.Item, now); err != nil {
		return err
	}
	r := newRecord(e)
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the record: %w", err)
	}
	if len(b) > maxRecord {
		return fmt.Errorf("record of %d bytes, the most is %d", len(b), maxRecord)
	}
	dir := d.itemDir(e.Item)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("storing %v: %w", e.Item, err)
	}
	keep := []string{recordFile}
	for i, p := range r.Parts {
		keep = append(keep, p.File)
		if have, err := readBounded(filepath.Join(dir, p.File), item.MaxPart); err == nil && bytes.Equal(have, e.Parts[i].Value) {
			continue
		}
		if err := writeAtomic(dir, p.File, e.Parts[i].Value); err != nil {
			return fmt.Errorf("storing %v: %w", e.Item, err)
		}
	}
	if err := writeAtomic(dir, recordFile, append(b, '\n')); err != nil {
		return fmt.Errorf("storing %v: %w", e.Item, err)
	}
	removeOthers(dir, keep)
	return nil
}

// removeOthers clears what a replaced item or a killed writer has left. What
// cannot be removed does no harm and is tried again next time.
func removeOthers(dir string, keep []string) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, f := range list {
		if !slices.Contains(keep, f.Name()) && !f.IsDir() {
			os.Remove(filepath.Join(dir, f.Name()))
		}
	}
}

// writeAtomic writes a file so that it is there whole or not at all, also
// after a power cut.
func writeAtomic(dir, name string, data []byte) error {
	f, err := os.CreateTemp(dir, tempPrefix+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// sizes are the bytes of every item, and their sum.
func (d *disk) sizes() (map[string]int64, int64, error) {
	names, err := d.names()
	if err != nil {
		return nil, 0, err
	}
	sizes, sum := map[string]int64{}, int64(0)
	for _, n := range names {
		files, err := os.ReadDir(filepath.Join(d.dir, itemsDir, n))
		if err != nil {
			continue // removed meanwhile
		}
		for _, f := range files {
			if st, err := f.Info(); err == nil {
				sizes[n] += st.Size()
				sum += st.Size()
			}
		}
	}
	return sizes, sum, nil
}

// makeRoom sees to it that add bytes for it fit: items that have ended go,
// those that ended first before the others.
func (d *disk) makeRoom(add int64, it item.Item, now time.Time) error {
	sizes, sum, err := d.sizes()
	if err != nil {
		return err
	}
	sum += add - sizes[it.Name()]
	if sum <= d.maxBytes {
		return nil
	}
	type old struct {
		it    item.Item
		until time.Time
	}
	var olds []old
	for name := range sizes {
		other, err := d.itemNamed(name)
		if err != nil || other == it {
			continue
		}
		if e, err := d.load(other); err == nil && now.After(e.Info.Until) {
			olds = append(olds, old{other, e.Info.Until})
		}
	}
	slices.SortFunc(olds, func(a, b old) int { return a.until.Compare(b.until) })
	for _, o := range olds {
		if sum <= d.maxBytes {
			break
		}
		if err := d.remove(o.it); err == nil {
			sum -= sizes[o.it.Name()]
		}
	}
	if sum > d.maxBytes {
		return &FullError{sum, d.maxBytes}
	}
	return nil
}

// remove takes an item out, its record first.
func (d *disk) remove(it item.Item) error {
	dir := d.itemDir(it)
	if err := os.Remove(filepath.Join(dir, recordFile)); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// quarantine moves a damaged item aside, to be looked at. The lock is held.
func (d *disk) quarantine(name string, now time.Time) error {
	q := filepath.Join(d.dir, quarantineDir)
	list, err := os.ReadDir(q)
	if err != nil {
		return err
	}
	// ReadDir sorts, and names begin with the time: the oldest go first.
	for i := 0; i <= len(list)-maxQuarantine; i++ {
		os.RemoveAll(filepath.Join(q, list[i].Name()))
	}
	to, err := os.MkdirTemp(q, now.UTC().Format("20060102T150405.000000000Z")+"-"+bounded(name, 180)+"-*")
	if err != nil {
		return err
	}
	return os.Rename(filepath.Join(d.dir, itemsDir, name), filepath.Join(to, "item"))
}
