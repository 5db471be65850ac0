// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarxtoml

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/enarx/enarx-go/workload"
)

// Doc is what an Enarx.toml says, checked.
type Doc struct {
	name     string
	config   workload.Config
	mounts   []Mount
	ca       string
	warnings []string
}

// Mount is a file or a directory with everything in it that goes into the
// bundle.
type Mount struct {
	Guest  string // absolute path in the guest; "/" for a directory's content
	Source string // slash-separated path below the directory of Enarx.toml
}

// Config is a copy of the configuration, with all defaults of Enarx.toml
// written out.
func (d *Doc) Config() workload.Config { return d.config.Clone() }

// Mounts are the files and directories to pack, in the order of the text.
func (d *Doc) Mounts() []Mount { return append([]Mount(nil), d.mounts...) }

// CA is the path of the PEM file with CA roots, slash-separated and below the
// directory of Enarx.toml, or "".
func (d *Doc) CA() string { return d.ca }

// Warnings are lines for the user about what is allowed and may not be meant.
// Each begins with the name of the file.
func (d *Doc) Warnings() []string { return append([]string(nil), d.warnings...) }

// Default is what holds if there is no Enarx.toml: stdin, stdout and stderr,
// and nothing else.
func Default() *Doc {
	return &Doc{name: "Enarx.toml", config: workload.Config{Files: workload.StdFiles()}}
}

// The keys of Enarx.toml. docs/enarx-toml.md says what they mean.
var (
	topKeys     = []string{"args", "ca", "confidential", "env", "evidence", "files", "limits", "mounts", "scratch", "secrets", "steward"}
	mountKeys   = []string{"guest", "source"}
	scratchKeys = []string{"guest", "size", "files"}
	secretKeys  = []string{"env", "path"}
	limitKeys   = []string{"memory", "timeout"}
	fileKeys    = map[workload.Kind][]string{
		workload.KindNull:    {"kind", "name"},
		workload.KindStdin:   {"kind", "name"},
		workload.KindStdout:  {"kind", "name"},
		workload.KindStderr:  {"kind", "name"},
		workload.KindListen:  {"kind", "name", "prot", "addr", "port"},
		workload.KindConnect: {"kind", "name", "prot", "host", "port"},
	}
)

// Parse reads an Enarx.toml. The name is for messages. On error it returns no
// Doc, and the error is an [Errors] with everything that was found.
func Parse(name string, data []byte) (*Doc, error) {
	if len(data) > MaxSize {
		return nil, Errors{{name, 1, 1, fmt.Sprintf("%d bytes, at most %d are allowed", len(data), MaxSize)}}
	}
	pos := locate(data)
	if pos.count > MaxKeys {
		return nil, Errors{{name, 1, 1, fmt.Sprintf("%d keys and tables, at most %d are allowed", pos.count, MaxKeys)}}
	}
	var root map[string]any
	if err := toml.Unmarshal(data, &root); err != nil {
		return nil, syntaxError(name, err)
	}
	d := &Doc{name: name}
	r := &reader{name: name, pos: pos, seen: map[string]bool{}}
	d.read(table{r, nil, root})
	if len(r.errs) > 0 {
		r.errs.sort()
		return nil, r.errs
	}
	return d, nil
}

func syntaxError(name string, err error) error {
	line, col := 1, 1
	var de *toml.DecodeError
	if errors.As(err, &de) {
		line, col = de.Position()
	}
	msg := strings.TrimPrefix(err.Error(), "toml: ")
	return Errors{{name, line, col, "not valid TOML: " + msg}}
}

func (d *Doc) read(t table) {
	d.topLevel(t)
	c := &d.config
	c.Steward, _ = t.str("steward")
	c.Args = t.stringList("args")
	c.Env = t.stringMap("env")
	c.Confidential = t.boolean("confidential")
	c.Evidence = t.boolean("evidence")
	for _, f := range t.subs("files") {
		c.Files = append(c.Files, d.file(f))
	}
	d.readMounts(t)
	d.readScratch(t)
	d.readSecrets(t)
	d.readLimits(t)
	if ca, ok := t.str("ca"); ok {
		d.ca = t.source("ca", ca)
	}
	var wrong workload.ConfigError
	if errors.As(c.Validate(), &wrong) {
		for _, e := range wrong {
			if !t.r.reported(e.Path) {
				t.r.bad(e.Path, "%s", e.Error())
			}
		}
	}
	if _, ok := t.m["files"]; !ok {
		d.warn("there is no files: the workload gets no descriptors at all, not even stdin, stdout and stderr; list them with [[files]]")
	}
	if c.Steward != "" {
		d.warn("steward is kept in the bundle and never obeyed: a Steward is chosen by whoever deploys, not by the package")
	}
}

// topLevel reports unknown keys, and says more about those that Enarx had
// before it had files.
func (d *Doc) topLevel(t table) {
	for _, old := range []string{"stdin", "stdout", "stderr"} {
		if _, ok := t.m[old]; ok {
			t.r.report(t.at(old), true, "unknown key %q: this is the layout of early Enarx; write [[files]] with kind = %q", old, old)
			delete(t.m, old)
		}
	}
	t.keys("", topKeys...)
}

func (d *Doc) warn(format string, args ...any) {
	d.warnings = append(d.warnings, d.name+": "+fmt.Sprintf(format, args...))
}

// file reads one entry of files. An entry without a usable kind is reported
// and becomes null, so that those after it keep their number.
func (d *Doc) file(t table) workload.File {
	null := workload.File{Kind: workload.KindNull, Name: string(workload.KindNull)}
	if t.m == nil {
		return null
	}
	kind, ok := t.str("kind")
	allowed, known := fileKeys[workload.Kind(kind)]
	switch {
	case ok && !known:
		msg := fmt.Sprintf("unknown kind %q; expected null, stdin, stdout, stderr, listen or connect", clip(kind))
		if s := suggest(kind, []string{"null", "stdin", "stdout", "stderr", "listen", "connect"}); s != "" {
			msg = fmt.Sprintf("unknown kind %q; did you mean %q?", clip(kind), s)
		}
		t.r.bad(t.at("kind"), "%s", msg)
		return null
	case !ok:
		if _, there := t.m["kind"]; !there {
			t.r.bad(t.path, "an entry of files without kind; expected null, stdin, stdout, stderr, listen or connect")
		}
		return null
	}
	f := workload.File{Kind: workload.Kind(kind), Name: kind}
	t.strayPeer(f.Kind)
	t.keys(" for kind "+kind, allowed...)
	name, named := t.str("name")
	if named {
		f.Name = name
	}
	if named && name == "" {
		d.warn("files.%s has an empty name: no program can find it in FD_NAMES", t.path[len(t.path)-1])
	}
	if f.Kind == workload.KindListen || f.Kind == workload.KindConnect {
		d.socket(t, &f, named)
	}
	return f
}

// strayPeer explains the mistake of one of the original's own samples: the
// address of a listener under the key of a connection.
func (t table) strayPeer(k workload.Kind) {
	pairs := map[workload.Kind][2]string{workload.KindListen: {"host", "addr"}, workload.KindConnect: {"addr", "host"}}
	p, ok := pairs[k]
	if _, there := t.m[p[0]]; !ok || !there {
		return
	}
	t.r.report(t.at(p[0]), true, "unknown key %q for kind %s; did you mean %q?", p[0], k, p[1])
	delete(t.m, p[0])
}

func (d *Doc) socket(t table, f *workload.File, named bool) {
	f.Prot = workload.ProtTLS
	if p, ok := t.str("prot"); ok {
		f.Prot = workload.Prot(p)
	}
	if f.Prot == workload.ProtTCP {
		d.warn("files.%s has prot = \"tcp\": the host can read and change everything on this connection", t.path[len(t.path)-1])
	}
	f.Port = f.Prot.DefaultPort()
	if port, ok := t.port("port"); ok {
		f.Port = port
	}
	if f.Kind == workload.KindListen {
		f.Addr = workload.DefaultAddr
		if addr, ok := t.str("addr"); ok {
			f.Addr = addr
		}
		if _, there := t.m["name"]; !there {
			t.r.bad(t.at("name"), "a listen entry without name; the program finds the socket by it in FD_NAMES")
		}
		return
	}
	host, ok := t.str("host")
	if _, there := t.m["host"]; !there {
		t.r.bad(t.at("host"), "a connect entry without host; expected the name or address to connect to")
	}
	f.Host = host
	if named || !ok {
		return
	}
	f.Name = host
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		t.r.bad(t.at("host"), "%q cannot be the name as well, because ':' separates the names in FD_NAMES; add a name", host)
		f.Name = ""
	}
}

func (d *Doc) readMounts(t table) {
	mounts := t.subs("mounts")
	if len(mounts) > MaxMounts {
		t.r.bad(t.at("mounts"), "%d mounts, at most %d are allowed", len(mounts), MaxMounts)
		return
	}
	for _, m := range mounts {
		if m.m == nil {
			continue
		}
		m.keys(" in mounts", mountKeys...)
		guest, okGuest := m.str("guest")
		source, okSource := m.str("source")
		for _, key := range mountKeys {
			if _, there := m.m[key]; !there {
				m.r.bad(m.path, "a mount without %s; expected guest = \"/PATH\" and source = \"PATH\"", key)
			}
		}
		if okGuest && guest != "/" {
			if err := workload.CheckPath(guest); err != nil {
				m.r.bad(m.at("guest"), "guest: %s", err)
			}
		}
		if okSource {
			source = m.source("source", source)
		}
		d.mounts = append(d.mounts, Mount{Guest: guest, Source: source})
	}
}

// source checks a path on the client's side: below the directory of
// Enarx.toml, so that a file from somebody else cannot collect what lies
// elsewhere on this machine.
func (t table) source(key, s string) string {
	if !filepath.IsLocal(filepath.FromSlash(s)) || strings.ContainsRune(s, 0) {
		t.r.bad(t.at(key), "%s = %q; expected a path below the directory of Enarx.toml, neither absolute nor with \"..\" out of it", key, clip(s))
		return ""
	}
	return filepath.ToSlash(filepath.Clean(filepath.FromSlash(s)))
}

func (d *Doc) readSecrets(t table) {
	secrets, ok := t.sub("secrets")
	if !ok {
		return
	}
	for _, name := range sortedKeys(secrets.m) {
		s, ok := secrets.sub(name)
		if !ok {
			continue
		}
		s.keys(" for a secret (its value never goes into this file)", secretKeys...)
		sec := workload.Secret{Name: name}
		sec.Env, _ = s.str("env")
		sec.Path, _ = s.str("path")
		d.config.Secrets = append(d.config.Secrets, sec)
	}
}

func (d *Doc) readLimits(t table) {
	l, ok := t.sub("limits")
	if !ok {
		return
	}
	l.keys(" in limits", limitKeys...)
	d.config.Limits.MemoryBytes = l.amount("memory", ParseSize)
	d.config.Limits.TimeoutMS = l.amount("timeout", ParseTimeout)
}
