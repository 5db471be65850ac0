// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package workload

// Limits of a bundle. Every one stops somebody from making the reader work or
// allocate without end; each is checked before the work is done. They are part
// of the format (SPEC.md, section 7): raising one is a new version of this
// package, not of the format, because an older reader refuses cleanly.
const (
	// MaxBundleSize bounds the whole bundle. The Keep holds it in memory
	// once, so it is also the most that a client can make a Keep allocate.
	MaxBundleSize = 512 << 20
	// MaxModuleSize bounds the module. The largest published language
	// runtimes compiled to WebAssembly are below 100 MB, which was the
	// limit of the original.
	MaxModuleSize = 256 << 20
	// MaxFileDataSize bounds the content of all files together.
	MaxFileDataSize = 256 << 20
	// MaxPrecompiledSize bounds precompiled code, which is a small multiple
	// of the module it comes from.
	MaxPrecompiledSize = 256 << 20
	// MaxConfigSize bounds the encoded configuration; the original allowed
	// 1,000,000 bytes of Enarx.toml.
	MaxConfigSize = 1 << 20
	// MaxFileIndexSize bounds the encoded list of files.
	MaxFileIndexSize = 16 << 20
	// MaxCARootsSize bounds the CA roots: the whole Mozilla set is about
	// 200 KiB of PEM.
	MaxCARootsSize = 1 << 20
	// MaxSecretsSize bounds the encoded declarations of secrets.
	MaxSecretsSize = 64 << 10
	// MaxOtherSize bounds any section that this version does not know and
	// need not understand.
	MaxOtherSize = 1 << 20

	// MaxSections bounds the section table, ten of which have a meaning.
	MaxSections = 32
	// MaxBundleFiles bounds the number of files and directories; a complete
	// Python standard library has about 2,000.
	MaxBundleFiles = 65536
	// MaxPathLen and MaxNameLen bound a path and one of its names, in
	// bytes, as file systems do.
	MaxPathLen = 1024
	MaxNameLen = 255
	// MaxPathDepth bounds the names in a path, so that whoever walks the
	// tree may recurse.
	MaxPathDepth = 64
	// MaxArgs and MaxEnv bound the number of arguments and of environment
	// variables; their bytes are bounded by MaxConfigSize.
	MaxArgs = 4096
	MaxEnv  = 4096
	// MaxFDs bounds the pre-opened descriptors of Enarx.toml's files, each
	// of which may cost the host a socket.
	MaxFDs = 256
	// MaxFDNameLen bounds the name of a descriptor, in bytes.
	MaxFDNameLen = 255
	// MaxSecrets bounds the declared secrets.
	MaxSecrets = 128
	// MaxSecretNameLen bounds the name of a secret, in bytes.
	MaxSecretNameLen = 64
	// MaxScratch bounds the scratch directories, MaxScratchBytes what all of
	// them may hold together, and MaxScratchFiles the files of all: each takes
	// some hundred bytes beside its content.
	MaxScratch      = 16
	MaxScratchBytes = 4 << 30
	MaxScratchFiles = 1 << 20
	// MaxStewardLen bounds the kept Steward address, in bytes.
	MaxStewardLen = 2048

	// MinMemoryBytes is one page of WebAssembly (core specification,
	// section 4.2.8): less cannot hold any memory.
	MinMemoryBytes = 64 << 10
	// MaxMemoryBytes is all that a 32-bit linear memory can address.
	MaxMemoryBytes = 4 << 30
	// MaxTimeoutMS is 100 years, which still fits a time.Duration.
	MaxTimeoutMS = 100 * 365 * 24 * 60 * 60 * 1000
)
