// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarxtoml

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/workload"
)

func mustParse(t testing.TB, text string) *Doc {
	t.Helper()
	d, err := Parse("Enarx.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestPublishedExamples reads every file of testdata/published and compares
// what it means. A file without an expectation here fails.
func TestPublishedExamples(t *testing.T) {
	type file = workload.File
	null := file{Kind: "null", Name: "null"}
	std := workload.StdFiles()
	with := func(f ...file) workload.Config { return workload.Config{Files: append(workload.StdFiles(), f...)} }
	listen := func(name string, prot workload.Prot, port uint16) file {
		return file{Kind: "listen", Name: name, Prot: prot, Addr: "::", Port: port}
	}
	connect := func(name string, prot workload.Prot, host string, port uint16) file {
		return file{Kind: "connect", Name: name, Prot: prot, Host: host, Port: port}
	}
	http := with(listen("TCP_LISTEN", "tls", 10020))
	http.Steward = "https://attest.example"
	steward := with(listen("TEST_TCP_LISTEN", "tcp", 8443))
	steward.Args = []string{"steward.wasm", "--crt", "certs/test/crt.der", "--key", "certs/test/key.der"}
	localB := listen("b", "tcp", 80)
	localB.Addr = "127.0.0.1"
	want := map[string]any{ // a configuration, or the one error
		"chat-server.toml":      with(listen("ingest", "tcp", 50000)),
		"chat-client-rust.toml": with(connect("server", "tcp", "127.0.0.1", 50000)),
		"chat-client-web.toml":  `chat-client-web.toml:21:1: unknown key "host" for kind listen; did you mean "addr"?`,
		"echo-tcp.toml":         with(listen("LISTEN", "tcp", 12345)),
		"http-no-prot.toml":     http,
		"tls-client.toml":       with(connect("api.example.com", "tls", "api.example.com", 443)),
		"cryptle.toml":          with(listen("TEST_TCP_LISTEN", "tls", 10030)),
		"fibonacci-args.toml":   workload.Config{Args: []string{"7", "21"}, Files: []file{null, std[1], std[2]}},
		"steward.toml":          steward,
		"template.toml": workload.Config{
			Steward: "https://attest.example", Args: []string{"--argument1", "--argument2=foo"},
			Env: map[string]string{"VAR1": "var1", "VAR2": "var2"},
			Files: []file{null, std[1], std[2], listen("LISTEN", "tls", 12345),
				connect("CONNECT", "tcp", "127.0.0.1", 23456)},
		},
		"defaults.toml": with(listen("a", "tls", 443), localB, connect("localhost", "tcp", "localhost", 80),
			file{Kind: "null", Name: "nothing"}),
		"early-layout.toml": "early-layout.toml:1:2: unknown key \"stdin\": this is the layout of early Enarx",
	}
	paths, err := filepath.Glob("testdata/published/*.toml")
	if err != nil || len(paths) != len(want) {
		t.Fatalf("%d files in testdata/published and %d expectations: %v", len(paths), len(want), err)
	}
	for _, p := range paths {
		name := filepath.Base(p)
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		d, err := Parse(name, data)
		switch w := want[name].(type) {
		case workload.Config:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if !reflect.DeepEqual(d.Config(), w) {
				t.Errorf("%s:\n got %+v\nwant %+v", name, d.Config(), w)
			}
		case string:
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %s", name, err, w)
			}
		default:
			t.Errorf("%s: no expectation", name)
		}
	}
}

// TestAdditions reads what this Enarx.toml has and the original's had not.
func TestAdditions(t *testing.T) {
	d := mustParse(t, `
confidential = true
evidence = true
ca = "./roots.pem"
files = [ { kind = "stdout" } ]
[[mounts]]
guest = "/data"
source = "data/"
[[mounts]]
guest = "/"
source = "."
[[scratch]]
guest = "/tmp"
size = "1MiB"
[[scratch]]
guest = "/var/tmp"
size = "2B"
files = 7
[secrets.token]
env = "TOKEN"
[secrets]
key.path = "/run/key"
[limits]
memory = "64MiB"
timeout = "1m30s"
`)
	want := workload.Config{
		Confidential: true, Evidence: true,
		Files:   []workload.File{{Kind: "stdout", Name: "stdout"}},
		Secrets: []workload.Secret{{Name: "key", Path: "/run/key"}, {Name: "token", Env: "TOKEN"}},
		Scratch: []workload.Scratch{{Path: "/tmp", Bytes: 1 << 20, Files: 4096}, {Path: "/var/tmp", Bytes: 2, Files: 7}},
		Limits:  workload.Limits{MemoryBytes: 64 << 20, TimeoutMS: 90000},
	}
	if c := d.Config(); !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
	if m := d.Mounts(); !reflect.DeepEqual(m, []Mount{{"/data", "data"}, {"/", "."}}) {
		t.Errorf("mounts %+v", m)
	}
	if d.CA() != "roots.pem" {
		t.Errorf("ca %q", d.CA())
	}
}

func TestWarnings(t *testing.T) {
	tests := map[string]string{
		"":                                "no descriptors at all",
		"steward = 'https://s'":           "never obeyed",
		"[[files]]\nkind='stdin'":         "",
		"files = []":                      "",
		"[[files]]\nkind='null'\nname=''": "empty name",
		"[[files]]\nkind='connect'\nhost='h'\nprot='tcp'\nname='plain'": "the host can read",
	}
	for text, want := range tests {
		w := strings.Join(mustParse(t, text).Warnings(), "\n")
		if want == "" && w != "" || !strings.Contains(w, want) {
			t.Errorf("%q: warnings %q, want %q", text, w, want)
		}
	}
}

// TestNoFileAndNoFiles keeps apart what the original keeps apart.
func TestNoFileAndNoFiles(t *testing.T) {
	if f := Default().Config().Files; !reflect.DeepEqual(f, workload.StdFiles()) {
		t.Errorf("without Enarx.toml: %+v", f)
	}
	if f := mustParse(t, "args = []").Config().Files; len(f) != 0 {
		t.Errorf("without files: %+v", f)
	}
}

// TestErrors gives the whole text of every error: the position is part of it.
func TestErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"syntax", "args = [\n", "1:9: not valid TOML: "},
		{"duplicate", "args = []\nargs = []\n", "2:1: not valid TOML: "},
		{"not UTF-8", "args = [\"\xff\"]", "not valid TOML: "},
		{"unknown", "hello = 1", `1:1: unknown key "hello"; expected one of args, ca, confidential`},
		{"misspelt", "\n  agrs = []", `2:3: unknown key "agrs"; did you mean "args"?`},
		{"case", "Args = []", `1:1: unknown key "Args"; did you mean "args"?`},
		{"safety setting", "confidental = true", `1:1: unknown key "confidental"; did you mean "confidential"?`},
		{"confidential", "confidential = 'true'", `1:16: confidential is the string "true", expected true or false`},
		{"args", "args = 'x'", "1:8: args is the string \"x\", expected a list"},
		{"args element", "args = ['a', 2,\n true]", "1:14: element 1 of args is the number 2, expected a string in quotes"},
		{"second error too", "args = ['a', 2,\n true]", "2:2: element 2 of args is true"},
		{"NUL", `args = ["a\u0000"]`, "1:9: args.0: "},
		{"env", "[env]\nA = 1", "2:5: A is the number 1, expected a string in quotes"},
		{"env table", "env = 1", "1:7: env is the number 1, expected a table, written [env]"},
		{"env name", "[env]\n\"A=B\" = ''", "2:9: env.A=B: the name \"A=B\" contains '='"},
		{"files", "files = 'x'", "1:9: files is the string \"x\", expected a list of tables, each written [[files]]"},
		{"files table", "[files]\nkind='stdin'", "1:2: files is a table, expected a list of tables"},
		{"files element", "files = ['stdin']", "1:10: element 0 of files is the string \"stdin\", expected a table"},
		{"no kind", "[[files]]\nname='x'", "1:3: an entry of files without kind"},
		{"kind type", "[[files]]\nkind=1", "2:6: kind is the number 1, expected a string"},
		{"kind", "[[files]]\nkind='stdinn'", `2:6: unknown kind "stdinn"; did you mean "stdin"?`},
		{"kind file", "[[files]]\nkind='file'", `2:6: unknown kind "file"; expected null, stdin`},
		{"file key", "[[files]]\nkind='stdin'\n\n[[files]]\nkind='null'\nnmae='x'", `6:1: unknown key "nmae" for kind null; did you mean "name"?`},
		{"stdin port", "[[files]]\nkind='stdin'\nport=1", `3:1: unknown key "port" for kind stdin; expected one of kind, name`},
		{"inline", "files=[{kind='stdin'},\n  {kind='listen', name='l', prot='udp'}]", `2:34: files.1.prot: "udp" is not a protocol`},
		{"colon", "[[files]]\nkind='stdin'\nname='a:b'", "3:6: files.0.name: \"a:b\" must not contain ':'"},
		{"listen without name", "[[files]]\nkind='listen'\nprot='tls'", "1:3: a listen entry without name"},
		{"connect without host", "[[files]]\nkind='connect'\nprot='tls'", "1:3: a connect entry without host"},
		{"connect addr", "[[files]]\nkind='connect'\nhost='h'\naddr='::'", `4:1: unknown key "addr" for kind connect; did you mean "host"?`},
		{"port type", "[[files]]\nkind='connect'\nhost='h'\nport='80'", "4:6: port is the string \"80\", expected a number"},
		{"port range", "[[files]]\nkind='connect'\nhost='h'\nport=65536", "4:6: port is 65536, expected 0 to 65535"},
		{"port 0", "[[files]]\nkind='connect'\nhost='h'\nport=0", "4:6: files.0.port: port 0 cannot be connected to"},
		{"host", "[[files]]\nkind='connect'\nhost='h:1'", "3:6: files.0.host: \"h:1\" is neither"},
		{"v6 name", "[[files]]\nkind='connect'\nhost='::1'", "3:6: \"::1\" cannot be the name as well"},
		{"http steward", "steward = 'http://s'", "1:11: steward: \"http://s\" is not encrypted; expected https://HOST"},
		{"mount", "[[mounts]]\nguest='/x'", "1:3: a mount without source"},
		{"mount key", "[[mounts]]\nguest='/x'\nsrc='x'\nsource='x'", "3:1: unknown key \"src\" in mounts"},
		{"mount guest", "[[mounts]]\nguest='x'\nsource='x'", "2:7: guest: \"x\" is not absolute"},
		{"mount up", "[[mounts]]\nguest='/x'\nsource='../x'", "3:8: source = \"../x\"; expected a path below the directory"},
		{"mount absolute", "[[mounts]]\nguest='/x'\nsource='/etc/passwd'", "3:8: source = \"/etc/passwd\"; expected a path below"},
		{"mount empty", "[[mounts]]\nguest='/x'\nsource=''", "3:8: source = \"\"; expected"},
		{"mounts map", "[mounts]\n'/x'='x'", "1:2: mounts is a table, expected a list of tables"},
		{"many mounts", strings.Repeat("[[mounts]]\nguest='/x'\nsource='x'\n", MaxMounts+1), "257 mounts, at most 256"},
		{"ca", "ca = '/etc/ssl/certs/ca-certificates.crt'", "1:6: ca = \"/etc/ssl"},
		{"evidence", "evidence = 'yes'", "1:12: evidence is the string \"yes\", expected true or false"},
		{"scratch", "[[scratch]]\nguest='/x'", "1:3: a scratch directory without size"},
		{"scratch key", "[[scratch]]\nguest='/x'\nbytes='1MiB'", "3:1: unknown key \"bytes\" in scratch; expected one of guest, size, files"},
		{"scratch size", "[[scratch]]\nguest='/x'\nsize=1", "3:6: size is the number 1, expected a string in quotes"},
		{"scratch unit", "[[scratch]]\nguest='/x'\nsize='1GB'", "3:6: size: \"1GB\" is not an amount of memory"},
		{"scratch files", "[[scratch]]\nguest='/x'\nsize='1B'\nfiles=0", "4:7: files is 0, expected 1 at least"},
		{"scratch many files", "[[scratch]]\nguest='/x'\nsize='1B'\nfiles=1048577", "4:7: scratch.0.files: 1048577 files"},
		{"scratch guest", "[[scratch]]\nguest='x'\nsize='1B'", "2:7: scratch.0.guest: \"x\" is not absolute"},
		{"scratch on devices", "[[scratch]]\nguest='/dev'\nsize='1B'", "2:7: scratch.0.guest: \"/dev\" is where the devices are"},
		{"secret", "[secrets.a]", "1:10: secrets.a: expected exactly one of env and path"},
		{"secret value", "[secrets.a]\nvalue='x'\nenv='A'", "2:1: unknown key \"value\" for a secret (its value never goes into this file); expected one of env, path"},
		{"secret as text", "[secrets]\na='x'", "2:3: a is the string \"x\", expected a table, written [a]"},
		{"secret clash", "[env]\nA=''\n[secrets.a]\nenv='A'", "4:5: secrets.a.env: A is also set in env"},
		{"memory", "[limits]\nmemory='64MB'", "2:8: memory: \"64MB\" is not an amount of memory; expected a whole number and B, KiB, MiB or GiB"},
		{"memory number", "[limits]\nmemory=64", "2:8: memory is the number 64, expected a string in quotes"},
		{"memory small", "[limits]\nmemory='1B'", "2:8: limits.memory: 1 bytes"},
		{"timeout", "[limits]\ntimeout='30'", "2:9: timeout: \"30\" is not a time span"},
		{"limit key", "[limits]\nmem='1MiB'", "2:1: unknown key \"mem\" in limits; expected one of memory, timeout"},
		{"date", "args = 2020-01-01", "1:8: args is a date or time, expected a list"},
		{"characters, not bytes", "args = ['ééé', 1]", "1:16: element 1"},
		{"early layout", "[stdin]\nkind='host'", "1:2: unknown key \"stdin\": this is the layout of early Enarx; write [[files]] with kind = \"stdin\""},
		{"huge", strings.Repeat("#", MaxSize+1), "1:1: 1000001 bytes, at most 1000000"},
	}
	for _, tt := range tests {
		d, err := Parse("Enarx.toml", []byte(tt.text))
		if err == nil {
			t.Errorf("%s: accepted, want %q", tt.name, tt.want)
			continue
		}
		if d != nil {
			t.Errorf("%s: a Doc and an error", tt.name)
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s:\n got %v\nwant %s", tt.name, err, tt.want)
		}
	}
}

// All errors are there at once, in the order of the lines, each of them once.
func TestErrorsAreCollected(t *testing.T) {
	_, err := Parse("E", []byte("agrs = []\nsteward = 'http://x'\n[[files]]\nkind='listen'\nprot='udp'\nport='x'\n[limits]\nmemory='x'\n"))
	var all Errors
	if !errors.As(err, &all) {
		t.Fatalf("%T", err)
	}
	var lines []int
	for _, e := range all {
		lines = append(lines, e.Line)
	}
	if want := []int{1, 2, 3, 5, 6, 8}; !reflect.DeepEqual(lines, want) {
		t.Errorf("errors in lines %v, want %v:\n%v", lines, want, err)
	}
	var many strings.Builder
	for i := range 100 {
		many.WriteString("key" + strings.Repeat("x", i) + " = 1\n")
	}
	_, err = Parse("E", []byte(many.String()))
	if n := strings.Count(err.Error(), "\n"); n != maxErrors || !strings.Contains(err.Error(), "80 more errors") {
		t.Errorf("%d lines:\n%v", n, err)
	}
}

func TestSuggest(t *testing.T) {
	for in, want := range map[string]string{
		"arg": "args", "agrs": "args", "ARGS": "args", "argss": "args", "stewrad": "steward", "secret": "secrets",
		"mount": "mounts", "limit": "limits", "xyz": "", "": "", "e": "", "cb": "", "file": "files",
		strings.Repeat("a", 100): "",
	} {
		if got := suggest(in, topKeys); got != want {
			t.Errorf("suggest(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestUnits(t *testing.T) {
	sizes := map[string]uint64{"1B": 1, "64KiB": 65536, "64MiB": 64 << 20, "4GiB": 4 << 30,
		"": 0, "64": 0, "64MB": 0, "64M": 0, "-1MiB": 0, "+1MiB": 0, "1.5GiB": 0, "0MiB": 0, "MiB": 0, " 1MiB": 0, "1 MiB": 0,
		"18446744073709551616B": 0, "18446744073709551615GiB": 0, "1mib": 0, "0x10B": 0, "1_0B": 0}
	for s, want := range sizes {
		if got, err := ParseSize(s); got != want || (err == nil) != (want != 0) {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
	times := map[string]uint64{"30s": 30000, "1h30m": 5400000, "500ms": 500, "0.5s": 500,
		"": 0, "30": 0, "0s": 0, "-1s": 0, "1us": 0, "1.0005s": 0, "1d": 0, "9999999h": 0}
	for s, want := range times {
		if got, err := ParseTimeout(s); got != want || (err == nil) != (want != 0) {
			t.Errorf("ParseTimeout(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
}

// TestTemplate: what "enarx init" writes means the same as no Enarx.toml, and
// every example in it works when uncommented.
func TestTemplate(t *testing.T) {
	d := mustParse(t, Template())
	if !reflect.DeepEqual(d.Config(), Default().Config()) || len(d.Warnings()) > 0 {
		t.Errorf("the template means %+v with warnings %q", d.Config(), d.Warnings())
	}
	all := regexp.MustCompile(`(?m)^#(\S)`).ReplaceAllString(Template(), "$1")
	full := mustParse(t, all)
	c := full.Config()
	if !c.Confidential || len(c.Args) == 0 || len(c.Env) == 0 || len(c.Files) != 5 || len(c.Secrets) != 2 ||
		c.Limits.MemoryBytes == 0 || c.Limits.TimeoutMS == 0 || full.CA() == "" || len(full.Mounts()) != 1 || len(c.Scratch) != 1 || !c.Evidence {
		t.Errorf("uncommented, the template means %+v", c)
	}
}

// TestReferenceIsComplete: every key is in the reference for users.
func TestReferenceIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../docs/enarx-toml.md")
	if err != nil {
		t.Fatal(err)
	}
	keys := append(append(append(append([]string(nil), topKeys...), mountKeys...), secretKeys...), limitKeys...)
	keys = append(keys, scratchKeys...)
	for _, k := range fileKeys {
		keys = append(keys, k...)
	}
	for _, k := range keys {
		if !strings.Contains(string(text), "`"+k+"`") {
			t.Errorf("docs/enarx-toml.md does not mention `%s`", k)
		}
	}
}
