// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

// Kind is the kind of a pre-opened descriptor of Enarx.toml.
type Kind string

// The kinds of Enarx.toml's files.
const (
	KindNull    Kind = "null"
	KindStdin   Kind = "stdin"
	KindStdout  Kind = "stdout"
	KindStderr  Kind = "stderr"
	KindListen  Kind = "listen"
	KindConnect Kind = "connect"
)

// Prot is the protocol of a socket of Enarx.toml.
type Prot string

// The protocols: TLS is made inside the Keep, TCP is visible to the host.
const (
	ProtTLS Prot = "tls"
	ProtTCP Prot = "tcp"
)

// Config is everything about a workload besides its module and files. It is
// what Enarx.toml and the command line say, completed with all defaults, and
// every field of it is covered by the digest.
type Config struct {
	// Args are the arguments after argv[0], which is always "main.wasm".
	Args []string
	// Env is the environment. FD_COUNT and FD_NAMES are added by the Keep
	// before it, so that it may shadow them as in the original.
	Env map[string]string
	// Files are the pre-opened descriptors; the index is the descriptor.
	Files []File
	// Confidential says that the workload must not run on a platform
	// without confidentiality (Enarx.toml: confidential = true).
	Confidential bool
	// Steward is kept as it was written and never obeyed.
	Steward string
	// Secrets are the declared secrets: their names and how the workload
	// sees them. Values are never in a bundle.
	Secrets []Secret
	// Evidence says that the workload may ask for evidence over bytes of its
	// own choice.
	Evidence bool
	// Scratch are the directories that the workload can write.
	Scratch []Scratch
	// Limits of the run.
	Limits Limits
}

// Scratch is a directory in memory: empty when the workload starts, gone when
// it ends, seen by nobody else.
type Scratch struct {
	Path  string // absolute, as the guest sees it
	Bytes uint64 // that all files may hold together
	Files uint64 // files, directories and links that there may be
}

// File is one pre-opened descriptor.
type File struct {
	Kind Kind
	Name string // unique use is up to the workload; never contains ':'
	Prot Prot   // listen and connect only
	Host string // connect only
	Addr string // listen only, default "::"
	Port uint16 // listen and connect only; default 443 for tls, 80 for tcp
}

// Secret declares a secret. Exactly one of Env and Path says how the workload
// sees the value.
type Secret struct {
	Name string
	Env  string // environment variable
	Path string // absolute path of a read-only file in the guest
}

// Limits bound a run; zero means the default stated in SPEC.md.
type Limits struct {
	MemoryBytes uint64 // linear memory
	TimeoutMS   uint64 // wall time from start to exit, milliseconds; 0 is none
}

// BundleFile is one file or directory of the bundle as the guest sees it.
type BundleFile struct {
	Path string // absolute, slash-separated, clean: "/lib/python3.12/os.py"
	Dir  bool   // a directory (Data empty)
	Data []byte
}
