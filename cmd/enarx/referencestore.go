// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/measure"
)

// The store of added reference values: one file for each signed file, in the
// directory "references" below the user's configuration, with the keys that
// the user named for it. Its name is derived from its content, it is written
// whole or not at all, and its signature is checked anew at every use: nothing
// is trusted for lying there but the keys.

const (
	// maxStored bounds the signed files that were added.
	maxStored = 256
	// maxStoredFile bounds one: a signed file in base64 and its keys.
	maxStoredFile = 12 << 20
	storedVersion = 1
)

// storedFile is the JSON of one added file.
type storedFile struct {
	Version int    `json:"version"`
	Keys    string `json:"keys"`   // PEM, as the key files had it
	Signed  []byte `json:"signed"` // the signed file, byte for byte
}

// stored is an added file as it was read.
type stored struct {
	ID      string
	Path    string
	Entries []measure.Entry
	Signed  []byte
	Keys    []ed25519.PublicKey
}

var storedName = regexp.MustCompile(`^[0-9a-f]{16}\.json$`)

func storedID(signed []byte) string {
	sum := sha256.Sum256(signed)
	return hex.EncodeToString(sum[:8])
}

// storeDir is where added reference values lie; it may not be there.
func storeDir() (string, error) {
	dir, err := configDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "references"), nil
}

// loadStored reads and checks all added files, in the order of their names. One
// that is damaged is an error: who removed a signature would else have removed
// a release without a word.
func loadStored() ([]stored, error) {
	dir, err := storeDir()
	if err != nil {
		return nil, err
	}
	names, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failf(exitInternal, "check the permissions there", "reading the added reference values: %w", err)
	}
	var out []stored
	for _, n := range names {
		if !storedName.MatchString(n.Name()) {
			continue // a temporary file of a write that did not end
		}
		if len(out) == maxStored {
			return nil, failf(exitUsage, "remove some with enarx reference remove ID", "more than %d files of reference values were added", maxStored)
		}
		s, err := loadStoredFile(filepath.Join(dir, n.Name()))
		if err != nil {
			return nil, fail(exitAttest, "remove it with enarx reference remove "+n.Name()[:16]+", and add a good copy", fmt.Errorf("added reference values %s: %w", n.Name(), err))
		}
		out = append(out, s)
	}
	return out, nil
}

func loadStoredFile(path string) (stored, error) {
	b, err := readLimited(path, "the reference values", maxStoredFile, exitAttest)
	if err != nil {
		return stored{}, err
	}
	s, err := parseStored(b)
	if err != nil {
		return stored{}, err
	}
	s.Path = path
	if want := s.ID + ".json"; filepath.Base(path) != want {
		return stored{}, fmt.Errorf("its content belongs to %s", want)
	}
	return s, nil
}

func parseStored(b []byte) (stored, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var f storedFile
	if err := d.Decode(&f); err != nil {
		return stored{}, fmt.Errorf("not the JSON that enarx reference add writes: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return stored{}, errors.New("something follows the JSON")
	}
	if f.Version != storedVersion {
		return stored{}, fmt.Errorf("version %d, expected %d", f.Version, storedVersion)
	}
	keys, err := measure.ParsePublicKeys([]byte(f.Keys))
	if err != nil {
		return stored{}, err
	}
	entries, _, err := measure.Read(f.Signed, keys)
	if err != nil {
		return stored{}, err
	}
	return stored{ID: storedID(f.Signed), Entries: entries, Signed: f.Signed, Keys: keys}, nil
}

// storedReferences are the reference values of all added files that count at
// the given time.
func storedReferences(at time.Time) ([]attest.ReferenceValue, error) {
	all, err := loadStored()
	if err != nil {
		return nil, err
	}
	var refs []attest.ReferenceValue
	var entries []measure.Entry
	for _, s := range all {
		refs = append(refs, measure.Counting(s.Entries, at, "reference values "+s.ID+" that were added here")...)
		entries = append(entries, s.Entries...)
	}
	return measure.WithoutDebug(refs, entries), nil
}

// onlyAdded says whether what a Keep measures to was accepted on the word of
// added reference values and of nothing else.
func onlyAdded(f *trustFlags, c *attest.Claims) (bool, error) {
	if len(f.reference) > 0 {
		return false, nil
	}
	digest, _ := keepSHA256()
	own, err := builtin(digest)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(own, func(r attest.ReferenceValue) bool {
		return r.Platform == c.Platform && bytes.Equal(r.Measurement, c.Measurement)
	}), nil
}

// stillAdded gives the added reference values of one measurement that count at
// the given time: none if they were removed or have ended.
func stillAdded(platform string, m []byte, at time.Time) ([]attest.ReferenceValue, error) {
	refs, err := storedReferences(at)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(refs, func(r attest.ReferenceValue) bool { return r.Platform != platform || !bytes.Equal(r.Measurement, m) }), nil
}

func newReferenceAddCmd(a *app) *cobra.Command {
	var keys []string
	c := &cobra.Command{
		Use: "add REFERENCE --key FILE", Short: "Accept the Keeps that signed reference values describe",
		Long: `Keep a copy of a signed file and of the public keys that it must be signed with.
From now on deploy, inspect and the others accept what it describes besides the Keep
of this enarx, within the dates of each entry: an old and a new release may so be
accepted side by side for a time. Entries of debug images never count.`,
		Example: "  enarx reference add keep.ref --key release.pub",
		Args:    oneArg("REFERENCE"),
		RunE:    func(_ *cobra.Command, args []string) error { return a.addReference(args[0], keys) },
	}
	c.Flags().StringArrayVar(&keys, "key", nil, "`FILE` of accepted public keys (repeatable)")
	return c
}

func (a *app) addReference(path string, keyFiles []string) error {
	keys, err := publicKeys(keyFiles, "--key")
	if err != nil {
		return err
	}
	signed, err := readLimited(path, "the reference values", maxReferenceFile, exitUsage)
	if err != nil {
		return err
	}
	entries, _, err := measure.Read(signed, keys)
	if err != nil {
		return fail(exitAttest, "do not use these reference values", fmt.Errorf("%s: %w", path, err))
	}
	now := time.Now()
	if !slices.ContainsFunc(entries, func(e measure.Entry) bool { return !e.Debug && !now.After(e.NotAfter) }) {
		return failf(exitAttest, "get current ones from whoever signs them", "%s: all of its %d entries have ended, or are of debug images", path, len(entries))
	}
	var pems []byte
	for _, f := range keyFiles {
		text, err := readLimited(f, "the public key", maxKeyFile, exitUsage)
		if err != nil {
			return err
		}
		pems = append(append(pems, text...), '\n')
	}
	b, err := json.MarshalIndent(storedFile{Version: storedVersion, Keys: string(pems), Signed: signed}, "", " ")
	if err != nil {
		return failf(exitInternal, "", "encoding the reference values: %w", err)
	}
	s, err := parseStored(b)
	if err != nil {
		return fail(exitInternal, "", err)
	}
	dir, err := storeDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return failf(exitInternal, "check the permissions there", "making the directory of reference values: %w", err)
	}
	if err := writeFile(filepath.Join(dir, s.ID+".json"), "the reference values", b, 0o600, false); err != nil {
		return err
	}
	return a.emit("%s\n", s.ID)
}

func newReferenceListCmd(a *app) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "Show the reference values that were added",
		Long: `Show every file that was added (enarx reference add) with its entries, after checking
its signature again.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			a.ui.jsonErrors = asJSON
			return a.listStored(asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) listStored(asJSON bool) error {
	all, err := loadStored()
	if err != nil {
		return err
	}
	now := time.Now()
	if asJSON {
		files := []map[string]any{}
		for _, s := range all {
			files = append(files, map[string]any{"id": s.ID, "entries": describeEntries(s.Entries, now)})
		}
		return a.writeJSON(map[string]any{"files": files})
	}
	for _, s := range all {
		if err := a.emit("%s\n%s", s.ID, referenceText(describeEntries(s.Entries, now))); err != nil {
			return err
		}
	}
	return nil
}

// verifyStored is listStored, and an error if a file has nothing that counts.
func (a *app) verifyStored(asJSON bool) error {
	if err := a.listStored(asJSON); err != nil {
		return err
	}
	all, err := loadStored()
	if err != nil {
		return err
	}
	for _, s := range all {
		if _, err := measure.Verify(s.Signed, s.Keys, time.Now()); err != nil {
			return fail(exitAttest, "remove it with enarx reference remove "+s.ID+", or get current ones", fmt.Errorf("%s: %w", s.ID, err))
		}
	}
	return nil
}

func newReferenceRemoveCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "remove ID...", Short: "No longer accept what an added file describes",
		Long: `Remove added files by the IDs that enarx reference list shows. Trust ends at once:
the next check of a Keep, also of one that is deployed and running, refuses it.`,
		RunE: func(_ *cobra.Command, args []string) error { return a.removeReferences(args) },
	}
}

func (a *app) removeReferences(ids []string) error {
	if len(ids) == 0 {
		return failf(exitUsage, "see enarx reference list", "ID is missing: which reference values to remove")
	}
	dir, err := storeDir()
	if err != nil {
		return err
	}
	for _, id := range ids {
		name := id + ".json"
		if !storedName.MatchString(name) {
			return failf(exitUsage, "see enarx reference list", "%.40q is no ID of added reference values", id)
		}
		if err := os.Remove(filepath.Join(dir, name)); errors.Is(err, os.ErrNotExist) {
			return failf(exitUsage, "see enarx reference list", "no reference values with ID %s were added", id)
		} else if err != nil {
			return failf(exitInternal, "check the permissions there", "removing reference values %s: %w", id, err)
		}
	}
	return nil
}
