// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Roles of inputs.
const (
	InputKeep   = "keep"   // the Keep runtime
	InputKernel = "kernel" // Debian package of the kernel
	InputStub   = "stub"   // Debian package of the UEFI stub
)

// Words that a manifest may hold. Modules are names in the initrd.
var (
	textRule    = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z .+~:_/@-]{0,127}$`)
	packageRule = regexp.MustCompile(`^[0-9a-z][0-9a-z.+_-]{0,127}$`)
	moduleRule  = regexp.MustCompile(`^[0-9]{2}-[0-9A-Za-z_-]{1,64}\.ko(\.xz)?$`)
)

// ParseManifest reads a manifest strictly: a field that is not known, missing
// or twice there, a file that is out of order, or a byte behind the end is an
// error.
func ParseManifest(b []byte) (*Manifest, error) {
	m := new(Manifest)
	if err := strictJSON(b, maxManifest, m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if m.Version != ManifestVersion {
		return nil, fmt.Errorf("manifest: version %d, expected %d", m.Version, ManifestVersion)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	// What is not written the way we write it was not written by us. This
	// finds fields in another order or spelling and doubled ones, too.
	if again, err := m.Encode(); err != nil || !bytes.Equal(again, b) {
		return nil, errors.New("manifest: not in the one form that manifests are written in")
	}
	return m, nil
}

// strictJSON decodes one JSON value of known fields.
func strictJSON(b []byte, limit int, v any) error {
	if len(b) > limit {
		return fmt.Errorf("%d bytes, the most accepted is %d", len(b), limit)
	}
	if !utf8.Valid(b) {
		return errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("data follow the JSON value")
	}
	return nil
}

func (m *Manifest) check() error {
	if len(m.Inputs) > maxNames || len(m.Files) > maxNames || len(m.Modules) > maxNames {
		return fmt.Errorf("%d inputs, %d files, %d modules; the most accepted is %d of each", len(m.Inputs), len(m.Files), len(m.Modules), maxNames)
	}
	for _, t := range []struct{ what, text string }{{"release", m.Release}, {"engine", m.Engine}, {"arch", m.Arch}} {
		if !textRule.MatchString(t.text) {
			return fmt.Errorf("%s %.80q is not a name", t.what, t.text)
		}
	}
	if m.Commit != "" && !textRule.MatchString(m.Commit) {
		return fmt.Errorf("commit %.80q is not a name", m.Commit)
	}
	for _, s := range []string{m.Cmdline, m.CmdlineSNP} {
		if err := checkCmdline(s); err != nil {
			return err
		}
	}
	for _, name := range m.Modules {
		if !moduleRule.MatchString(name) {
			return fmt.Errorf("module %.80q is not named NN-name.ko or NN-name.ko.xz", name)
		}
	}
	if err := checkInputs(m.Inputs, []string{InputKeep, InputKernel, InputStub}, 2); err != nil {
		return err
	}
	return m.checkFiles()
}

// checkInputs demands inputs of the given roles in that order, the first
// required of them without fail.
func checkInputs(inputs []Input, roles []string, required int) error {
	last := -1
	for _, in := range inputs {
		i := slices.Index(roles, in.Name)
		switch {
		case i < 0:
			return fmt.Errorf("input %.80q, expected one of %s", in.Name, strings.Join(roles, ", "))
		case i <= last:
			return fmt.Errorf("input %q is out of order or there twice", in.Name)
		case i > last+1 && last+1 < required:
			return fmt.Errorf("no input %q", roles[last+1])
		case !isDigest(in.SHA256):
			return fmt.Errorf("input %q has no SHA-256 digest", in.Name)
		case (in.Package == "") != (in.Name == InputKeep) || (in.Package == "") != (in.Version == ""):
			return fmt.Errorf("input %q: packages have a name and a version, files have none", in.Name)
		case in.Package != "" && (!packageRule.MatchString(in.Package) || !textRule.MatchString(in.Version)):
			return fmt.Errorf("input %q: %.80q version %.80q is no package", in.Name, in.Package, in.Version)
		}
		last = i
	}
	if last+1 < required {
		return fmt.Errorf("no input %q", roles[last+1])
	}
	return nil
}

func (m *Manifest) checkFiles() error {
	last := -1
	for _, f := range m.Files {
		i := slices.Index(fileOrder, f.Name)
		switch {
		case i < 0:
			return fmt.Errorf("file %.80q, expected one of %s", f.Name, strings.Join(fileOrder, ", "))
		case i <= last:
			return fmt.Errorf("file %q is out of order or there twice", f.Name)
		case !isDigest(f.SHA256):
			return fmt.Errorf("file %q has no SHA-256 digest", f.Name)
		case f.Size < 0 || f.Size > maxFile:
			return fmt.Errorf("file %q has %d bytes, the most accepted is %d", f.Name, f.Size, int64(maxFile))
		}
		last = i
	}
	for _, name := range fileOrder[:4] {
		if _, ok := m.File(name); !ok {
			return fmt.Errorf("no file %q", name)
		}
	}
	for name, text := range map[string]string{FileCmdline: m.Cmdline, FileCmdlineSNP: m.CmdlineSNP} {
		if f, _ := m.File(name); f.SHA256 != Digest([]byte(text)) {
			return fmt.Errorf("the digest of %s is not that of the command line it names", name)
		}
	}
	return nil
}

func isDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && strings.ToLower(s) == s
}
