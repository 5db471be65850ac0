// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// FieldError is one thing that is wrong with a [Config].
type FieldError struct {
	// Path leads to the field: {"files", "3", "name"}. Its words are the
	// keys of Enarx.toml.
	Path []string
	// Reason says what was seen and what is expected.
	Reason string
}

func (e *FieldError) Error() string { return strings.Join(e.Path, ".") + ": " + e.Reason }

// ConfigError is everything that is wrong with a [Config].
type ConfigError []*FieldError

func (e ConfigError) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = "workload: configuration: " + f.Error()
	}
	return strings.Join(lines, "\n")
}

// checker collects what is wrong.
type checker struct{ errs ConfigError }

func (c *checker) bad(path []string, format string, args ...any) {
	c.errs = append(c.errs, &FieldError{Path: slices.Clone(path), Reason: fmt.Sprintf(format, args...)})
}

// Validate checks c against the rules of SPEC.md, section 4. Both sides use
// it: the client before it packs, the Keep after it has parsed. The error is a
// [ConfigError] that lists everything found.
func (c Config) Validate() error {
	var k checker
	k.args(c.Args)
	k.env(c.Env)
	if len(c.Files) > MaxFDs {
		k.bad([]string{"files"}, "%d entries, at most %d are allowed", len(c.Files), MaxFDs)
	} else {
		for i, f := range c.Files {
			k.file([]string{"files", strconv.Itoa(i)}, f)
		}
	}
	k.steward(c.Steward)
	k.secrets(c)
	k.scratch(c.Scratch)
	k.limits(c.Limits)
	if len(k.errs) == 0 {
		return nil
	}
	return k.errs
}

// cstring says what is wrong with s as a string that the guest gets
// zero-terminated (WASI preview 1, args_get and environ_get).
func cstring(s string) string {
	switch {
	case strings.IndexByte(s, 0) >= 0:
		return "contains a NUL byte, which ends the string for the guest"
	case !utf8.ValidString(s):
		return "is not UTF-8"
	}
	return ""
}

func (k *checker) args(args []string) {
	if len(args) > MaxArgs {
		k.bad([]string{"args"}, "%d arguments, at most %d are allowed", len(args), MaxArgs)
		return
	}
	for i, a := range args {
		if why := cstring(a); why != "" {
			k.bad([]string{"args", strconv.Itoa(i)}, "%q %s", clip(a), why)
		}
	}
}

func (k *checker) env(env map[string]string) {
	if len(env) > MaxEnv {
		k.bad([]string{"env"}, "%d variables, at most %d are allowed", len(env), MaxEnv)
		return
	}
	for _, name := range sortedKeys(env) {
		at := []string{"env", name}
		if why := envName(name); why != "" {
			k.bad(at, "%s", why)
		}
		if why := cstring(env[name]); why != "" {
			k.bad(at, "the value %s", why)
		}
	}
}

func envName(name string) string {
	switch {
	case name == "":
		return "a variable without a name; write NAME = \"value\""
	case strings.Contains(name, "="):
		return fmt.Sprintf("the name %q contains '='", clip(name))
	}
	if why := cstring(name); why != "" {
		return fmt.Sprintf("the name %q %s", clip(name), why)
	}
	return ""
}

// file checks one pre-opened descriptor: which fields its kind has, and each
// of them. A field that the kind does not have must be empty, so that nothing
// in a configuration is without effect.
func (k *checker) file(at []string, f File) {
	sub := func(key string) []string { return append(slices.Clone(at), key) }
	k.fdName(sub("name"), f.Name)
	socket := f.Kind == KindListen || f.Kind == KindConnect
	switch f.Kind {
	case KindNull, KindStdin, KindStdout, KindStderr:
		if f.Prot != "" {
			k.bad(sub("prot"), "kind %q has no prot", f.Kind)
		}
		if f.Port != 0 {
			k.bad(sub("port"), "kind %q has no port", f.Kind)
		}
	case KindListen, KindConnect:
		if f.Prot != ProtTLS && f.Prot != ProtTCP {
			k.bad(sub("prot"), "%q is not a protocol; expected \"tls\" or \"tcp\"", clip(string(f.Prot)))
		}
	default:
		k.bad(sub("kind"), "%q is not a kind; expected one of %s", clip(string(f.Kind)), kindList)
		return
	}
	if f.Kind == KindConnect {
		k.host(sub("host"), f.Host)
		if f.Port == 0 {
			k.bad(sub("port"), "port 0 cannot be connected to; expected 1 to 65535")
		}
	} else if f.Host != "" {
		k.bad(sub("host"), "kind %q has no host", f.Kind)
	}
	if f.Kind == KindListen {
		k.host(sub("addr"), f.Addr)
	} else if f.Addr != "" {
		k.bad(sub("addr"), "kind %q has no addr%s", f.Kind, addrHint(socket))
	}
}

const kindList = "null, stdin, stdout, stderr, listen, connect"

func addrHint(socket bool) string {
	if socket {
		return "; the peer's name goes into host"
	}
	return ""
}

func (k *checker) fdName(at []string, name string) {
	switch {
	case len(name) > MaxFDNameLen:
		k.bad(at, "%d bytes, at most %d are allowed", len(name), MaxFDNameLen)
	case strings.Contains(name, ":"):
		k.bad(at, "%q must not contain ':', which separates the names in FD_NAMES", name)
	default:
		if why := cstring(name); why != "" {
			k.bad(at, "%q %s", name, why)
		}
	}
}

// host checks an address literal without zone, or a host name as the DNS
// allows it (RFC 1123, section 2.1, with the underscore that is used in
// practice). Names in other scripts are expected in their ASCII form.
func (k *checker) host(at []string, h string) {
	if h == "" {
		k.bad(at, "missing; expected a host name or an IP address")
		return
	}
	if a, err := netip.ParseAddr(h); err == nil {
		if a.Zone() != "" {
			k.bad(at, "%q has a zone, which means nothing inside a Keep", clip(h))
		}
		return
	}
	if !hostName(strings.TrimSuffix(h, ".")) {
		k.bad(at, "%q is neither a host name nor an IP address (write IPv6 without brackets, and the port apart)", clip(h))
	}
}

func hostName(h string) bool {
	if len(h) == 0 || len(h) > 253 {
		return false
	}
	for label := range strings.SplitSeq(h, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !alnum(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func alnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func (k *checker) steward(s string) {
	if s == "" {
		return
	}
	at := []string{"steward"}
	if len(s) > MaxStewardLen {
		k.bad(at, "%d bytes, at most %d are allowed", len(s), MaxStewardLen)
		return
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		k.bad(at, "%q is not a URL; expected https://HOST", clip(s))
	case u.Scheme != "https":
		k.bad(at, "%q is not encrypted; expected https://HOST", clip(s))
	case u.Hostname() == "":
		k.bad(at, "%q names no host; expected https://HOST", clip(s))
	}
}

func (k *checker) secrets(c Config) {
	if len(c.Secrets) > MaxSecrets {
		k.bad([]string{"secrets"}, "%d secrets, at most %d are allowed", len(c.Secrets), MaxSecrets)
		return
	}
	names, envs, paths := map[string]bool{}, map[string]string{}, map[string]string{}
	for _, s := range c.Secrets {
		at := []string{"secrets", s.Name}
		if !secretName(s.Name) {
			k.bad(at, "%q is not a secret's name; expected 1 to %d of A-Z a-z 0-9 . _ -, not starting with '.' or '-'", clip(s.Name), MaxSecretNameLen)
		}
		if names[s.Name] {
			k.bad(at, "declared twice")
		}
		names[s.Name] = true
		switch {
		case (s.Env == "") == (s.Path == ""):
			k.bad(at, "expected exactly one of env and path")
		case s.Env != "":
			k.secretEnv(append(at, "env"), s, c.Env, envs)
		default:
			if err := checkPath(s.Path); err != "" {
				k.bad(append(at, "path"), "%s", err)
			} else if other, ok := paths[s.Path]; ok {
				k.bad(append(at, "path"), "%s is also the path of secret %q", s.Path, other)
			}
			paths[s.Path] = s.Name
		}
	}
}

func (k *checker) secretEnv(at []string, s Secret, env, seen map[string]string) {
	if why := envName(s.Env); why != "" {
		k.bad(at, "%s", why)
	}
	if _, ok := env[s.Env]; ok {
		k.bad(at, "%s is also set in env; a secret must be its only source", clip(s.Env))
	}
	if other, ok := seen[s.Env]; ok {
		k.bad(at, "%s is also the variable of secret %q", clip(s.Env), other)
	}
	seen[s.Env] = s.Name
}

// secretName keeps names usable as file names, URL path segments and flags.
func secretName(n string) bool {
	if n == "" || len(n) > MaxSecretNameLen || n[0] == '.' || n[0] == '-' {
		return false
	}
	for i := range len(n) {
		if c := n[i]; !alnum(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func (k *checker) limits(l Limits) {
	if m := l.MemoryBytes; m != 0 && (m < MinMemoryBytes || m > MaxMemoryBytes) {
		k.bad([]string{"limits", "memory"}, "%d bytes; expected %d (one page) to %d (4 GiB)", m, MinMemoryBytes, uint64(MaxMemoryBytes))
	}
	if t := l.TimeoutMS; t > MaxTimeoutMS {
		k.bad([]string{"limits", "timeout"}, "%d ms; at most %d (100 years) are allowed", t, uint64(MaxTimeoutMS))
	}
}

// scratch checks the directories that can be written. They are in no order but
// the one they were written in, which is the order of their descriptors.
func (k *checker) scratch(all []Scratch) {
	if len(all) > MaxScratch {
		k.bad([]string{"scratch"}, "%d directories, at most %d are allowed", len(all), MaxScratch)
		return
	}
	bytes, files := uint64(0), uint64(0)
	for i, s := range all {
		at := []string{"scratch", strconv.Itoa(i)}
		sub := func(key string) []string { return append(slices.Clone(at), key) }
		if why := checkPath(s.Path); why != "" {
			k.bad(sub("guest"), "%s", why)
		} else if above(DeviceDir, s.Path) {
			k.bad(sub("guest"), "%q is where the devices are; choose another path", clip(s.Path))
		}
		for _, t := range all[:i] {
			if above(t.Path, s.Path) || above(s.Path, t.Path) {
				k.bad(sub("guest"), "%q and %q lie in one another; expected directories apart", clip(t.Path), clip(s.Path))
			}
		}
		if s.Bytes == 0 || s.Bytes > MaxScratchBytes-min(bytes, MaxScratchBytes) {
			k.bad(sub("size"), "%d bytes; expected 1 byte at least and %d (4 GiB) at most in all scratch directories together", s.Bytes, uint64(MaxScratchBytes))
		}
		if s.Files == 0 || s.Files > MaxScratchFiles-min(files, MaxScratchFiles) {
			k.bad(sub("files"), "%d files; expected 1 at least and %d at most in all scratch directories together", s.Files, MaxScratchFiles)
		}
		bytes, files = bytes+min(s.Bytes, MaxScratchBytes), files+min(s.Files, MaxScratchFiles)
	}
}

// CheckPath checks the path of a file or directory of a bundle: absolute,
// slash-separated, clean, UTF-8, within the limits. The root itself is not
// such a path.
func CheckPath(p string) error {
	if why := checkPath(p); why != "" {
		return errors.New(why)
	}
	return nil
}

// checkPath says what is wrong with a path of the guest, or "".
func checkPath(p string) string {
	switch {
	case len(p) > MaxPathLen:
		return fmt.Sprintf("a path of %d bytes, at most %d are allowed", len(p), MaxPathLen)
	case !strings.HasPrefix(p, "/"):
		return fmt.Sprintf("%q is not absolute; expected a path that starts with '/'", p)
	case p == "/":
		return "the root directory is always there and cannot be named"
	case path.Clean(p) != p:
		return fmt.Sprintf("%q is not clean; expected %q", p, path.Clean(p))
	case strings.IndexByte(p, 0) >= 0:
		return fmt.Sprintf("%q contains a NUL byte", p)
	case !utf8.ValidString(p):
		return fmt.Sprintf("%q is not UTF-8", p)
	case strings.Count(p, "/") > MaxPathDepth:
		return fmt.Sprintf("%q is more than %d names deep", clip(p), MaxPathDepth)
	}
	for name := range strings.SplitSeq(p[1:], "/") {
		if len(name) > MaxNameLen {
			return fmt.Sprintf("%q has a name of %d bytes, at most %d are allowed", clip(p), len(name), MaxNameLen)
		}
	}
	return ""
}
