// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/collateraltest"
	"github.com/enarx/enarx-go/attest/collateral/item"
)

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestTheCacheIsItsOwnersAlone(t *testing.T) {
	b := newBench(t)
	b.get(tcb, WhenDue, Fetched)
	files := 0
	err := filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		if st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, st.Mode())
		}
		files++
		return nil
	})
	if err != nil || files < 6 {
		t.Errorf("%d files, %v", files, err)
	}
}

// TestDamageIsNoticed damages every file of an item in every way: it is never
// used, set aside, and fetched anew.
func TestDamageIsNoticed(t *testing.T) {
	damages := map[string]func(t *testing.T, path string){
		"empty":     func(t *testing.T, path string) { write(t, path, nil) },
		"truncated": func(t *testing.T, path string) { v := slurp(t, path); write(t, path, v[:len(v)/2]) },
		"one bit":   func(t *testing.T, path string) { v := slurp(t, path); v[len(v)/2] ^= 4; write(t, path, v) },
		"more":      func(t *testing.T, path string) { write(t, path, append(slurp(t, path), "{}"...)) },
		"huge":      func(t *testing.T, path string) { write(t, path, make([]byte, 1<<20)) },
		"zeroes":    func(t *testing.T, path string) { write(t, path, make([]byte, len(slurp(t, path)))) },
		"directory": func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		},
	}
	damaged := 0
	for name, damage := range damages {
		probe := newBench(t)
		probe.get(tcb, WhenDue, Fetched)
		files, err := filepath.Glob(filepath.Join(probe.cache.disk.itemDir(tcb), "*"))
		if err != nil || len(files) != 3 {
			t.Fatalf("%q, %v", files, err)
		}
		for _, f := range files {
			b := newBench(t)
			good := b.get(tcb, WhenDue, Fetched).Entry
			damage(t, filepath.Join(b.cache.disk.itemDir(tcb), filepath.Base(f)))
			r := b.cache.Get(t.Context(), tcb, Offline)
			if r.Outcome == Present && !sameParts(r.Entry.Parts, good.Parts) {
				t.Errorf("%s of %s: used", name, filepath.Base(f))
			}
			if r.Outcome == Present {
				continue // a changed address or date: nothing that counts
			}
			damaged++
			if len(b.notices) != 1 || !strings.Contains(b.notices[0], "set aside") {
				t.Errorf("%s of %s: notices %q", name, filepath.Base(f), b.notices)
			}
			if aside, _ := os.ReadDir(filepath.Join(b.dir, quarantineDir)); len(aside) != 1 {
				t.Errorf("%s of %s: %d set aside", name, filepath.Base(f), len(aside))
			}
			if r := b.get(tcb, WhenDue, Fetched); !sameParts(r.Entry.Parts, good.Parts) {
				t.Errorf("%s of %s: not fetched anew", name, filepath.Base(f))
			}
		}
	}
	if damaged < 15 {
		t.Errorf("only %d damages were noticed", damaged)
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func slurp(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A record whose digests fit its parts is still held to the vendor's root.
func TestAForgedCacheIsNotBelieved(t *testing.T) {
	b := newBench(t)
	good := b.get(milan, WhenDue, Fetched).Entry
	forged := *good
	forged.Parts = attest.Collateral{{MediaType: attest.MediaTypeCRL, Value: append([]byte(nil), good.Parts[0].Value...)}}
	forged.Parts[0].Value[len(forged.Parts[0].Value)-1] ^= 1
	if err := b.cache.disk.store(&forged, collateraltest.At); err != nil {
		t.Fatal(err)
	}
	if r := b.get(milan, WhenDue, Fetched); !sameParts(r.Entry.Parts, good.Parts) || len(b.notices) != 1 {
		t.Errorf("notices %q", b.notices)
	}
	// Nor is a genuine one under another's name.
	swapped := *b.get(genoa, WhenDue, Fetched).Entry
	swapped.Item = milan
	if err := b.cache.disk.store(&swapped, collateraltest.At); err != nil {
		t.Fatal(err)
	}
	if r := b.get(milan, WhenDue, Fetched); !sameParts(r.Entry.Parts, good.Parts) || len(b.notices) != 2 {
		t.Errorf("notices %q", b.notices)
	}
}

func TestTheQuarantineIsBounded(t *testing.T) {
	b := newBench(t)
	for i := range 2 * maxQuarantine {
		b.at(collateraltest.At.Add(time.Duration(i) * time.Second))
		b.get(milan, WhenDue, Fetched)
		write(t, filepath.Join(b.cache.disk.itemDir(milan), recordFile), []byte("{"))
	}
	if aside, _ := os.ReadDir(filepath.Join(b.dir, quarantineDir)); len(aside) != maxQuarantine {
		t.Errorf("%d set aside, want %d", len(aside), maxQuarantine)
	}
}

// A full cache makes room with what has ended and refuses what is beyond.
func TestTheCacheIsBounded(t *testing.T) {
	b := newBench(t)
	b.cache = b.open(6 << 10)
	b.get(milan, WhenDue, Fetched)
	b.get(genoa, WhenDue, Fetched)
	// TCB info with its chain has more than 6 KiB.
	if r := b.get(tcb, WhenDue, Fetched); len(r.Entry.Parts) != 2 {
		t.Fatal("the caller does not get what it asked for")
	}
	if r := b.cache.Get(t.Context(), tcb, Offline); r.Outcome != Failed {
		t.Fatalf("stored beyond the limit: %s", r.Outcome)
	}
	if len(b.notices) != 1 || !strings.Contains(b.notices[0], "fetched and not kept") {
		t.Fatalf("notices %q", b.notices)
	}
	b.get(milan, Offline, Present)
	b.get(genoa, Offline, Present)
	_, sum, err := b.cache.disk.sizes()
	if err != nil || sum > 6<<10 {
		t.Errorf("%d bytes, %v", sum, err)
	}
	// At a time when Genoa's list has ended it makes room.
	b.at(time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC))
	small := b.open(sum + 2000)
	it, _ := vcekOf(t, b.server, "milan-v3-oak")
	if r := small.Get(t.Context(), it, WhenDue); r.Outcome != Fetched {
		t.Fatal(r.Err)
	}
	if r := small.Get(t.Context(), it, Offline); r.Outcome != Present {
		t.Errorf("no room was made: %v, %q", r.Err, b.notices)
	}
	if _, err := small.disk.load(genoa); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the ended list is still there: %v", err)
	}
	b.get(milan, Offline, Present)
}

// Processes that share a directory never let older data win, whoever is last.
func TestSharedDirectory(t *testing.T) {
	b := newBench(t)
	now := time.Date(2025, 3, 25, 0, 0, 0, 0, time.UTC)
	b.at(now)
	const lists = "attest/internal/dcap/testdata/tdx/collateral/"
	var entries []*Entry
	for _, dir := range []string{"00806f050000-2025-01", "b0c06f000000-2025-06"} {
		parts := attest.Collateral{{MediaType: attest.MediaTypeCRL, Value: b.file(lists + dir + "/root.crl.der")}}
		entries = append(entries, &Entry{Item: root, Parts: parts, Fetched: now, Checked: now})
	}
	newest := entries[1].Parts
	for range 20 {
		if err := os.RemoveAll(b.cache.disk.itemDir(root)); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 8 {
			c := b.open(0)
			wg.Go(func() {
				for _, r := range c.Import(t.Context(), entries[i%2:i%2+1]) {
					if r.Outcome == Failed {
						t.Error(r.Err)
					}
				}
			})
		}
		wg.Wait()
		if r := b.get(root, Offline, Present); !sameParts(r.Entry.Parts, newest) {
			t.Fatal("the older list won")
		}
	}
}

// A holder of the lock that was stopped does not keep others beyond their time.
func TestTheLockEndsWithTheContext(t *testing.T) {
	b := newBench(t)
	unlock, err := lockFile(t.Context(), filepath.Join(b.dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if r := b.cache.Get(ctx, milan, WhenDue); r.Outcome != Failed {
		t.Errorf("%s while the lock is held", r.Outcome)
	}
	unlock()
	b.get(milan, WhenDue, Fetched)
}

// TestInvariant12NothingHalfDone_CacheSurvivesKill kills a process that stores
// one item after another: whenever it dies, the item is whole.
func TestInvariant12NothingHalfDone_CacheSurvivesKill(t *testing.T) {
	if dir := os.Getenv("ENARX_TEST_WRITER"); dir != "" {
		storeForever(t, dir)
		return
	}
	b := newBench(t)
	first := b.get(root, WhenDue, Fetched).Entry
	whole := 0
	for i := range 12 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "ENARX_TEST_WRITER="+b.dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "storing\n" {
			t.Fatalf("%q, %v", line, err)
		}
		time.Sleep(time.Duration(i*i) * 200 * time.Microsecond)
		cmd.Process.Kill()
		cmd.Wait()
		cancel()
		r := b.get(root, Offline, Present)
		if n := len(r.Entry.Parts[0].Value); n == 0 {
			t.Fatal("empty")
		}
		whole++
	}
	if len(b.notices) != 0 {
		t.Errorf("%q", b.notices)
	}
	// What the killed writers left is cleared by the next one.
	if r := b.cache.Import(t.Context(), []*Entry{first}); r[0].Outcome == Failed {
		t.Error(r[0].Err)
	}
	b.get(root, Always, Unchanged)
	if files, _ := os.ReadDir(b.cache.disk.itemDir(root)); len(files) != 2 || whole != 12 {
		t.Errorf("%d files are left", len(files))
	}
}

// storeForever stores two genuine lists in turn, without asking which is newer.
func storeForever(t *testing.T, dir string) {
	s := newServer(t)
	c, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var entries []*Entry
	for _, set := range []string{"00a06d080000-2025-10", "b0c06f000000-2025-06"} {
		b, err := s.File("attest/internal/dcap/testdata/tdx/collateral/" + set + "/root.crl.der")
		if err != nil {
			t.Fatal(err)
		}
		parts := attest.Collateral{{MediaType: attest.MediaTypeCRL, Value: b}}
		info, err := item.Check(root, parts)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, &Entry{Item: root, Parts: parts, Info: *info})
	}
	os.Stdout.WriteString("storing\n")
	for i := 0; ; i++ {
		err := c.disk.locked(t.Context(), func() error { return c.disk.store(entries[i%2], collateraltest.At) })
		if err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	b := newBench(f)
	r := b.cache.Get(f.Context(), tcb, WhenDue)
	if r.Outcome != Fetched {
		f.Fatal(r.Err)
	}
	v, err := os.ReadFile(filepath.Join(b.cache.disk.itemDir(tcb), recordFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(v)
	f.Fuzz(func(t *testing.T, v []byte) {
		var r record
		if decodeStrict(v, &r) != nil || r.check() != nil {
			return
		}
		if n := r.Item.Name(); n != filepath.Base(n) || len(n) > 250 {
			t.Fatalf("name %q", n)
		}
	})
}
