// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package image builds and opens Keep images: a kernel, an initial RAM file
// system with the Keep runtime as /init, and a command line, in the forms that
// the VM platforms boot. The same inputs give the same bytes, on any machine and
// on any day.
//
// An image is a directory:
//
//	kernel          bzImage of the pinned kernel package, unchanged
//	initrd          cpio (newc), uncompressed: /init is the Keep runtime
//	cmdline         kernel command line of vm, vtpm and tdx, one line without newline
//	cmdline.snp     the same for snp, where ACPI tables are neither measured nor wanted
//	uki.efi         unified kernel image of kernel, initrd and cmdline, for UEFI
//	disk.raw        GPT disk with an EFI system partition that boots uki.efi
//	sbom.json       what is inside, CycloneDX
//	manifest.json   [Manifest]: every input and every output with its digest
package image

// Names of the files of an image.
const (
	FileKernel     = "kernel"
	FileInitrd     = "initrd"
	FileCmdline    = "cmdline"
	FileCmdlineSNP = "cmdline.snp"
	FileUKI        = "uki.efi"
	FileDisk       = "disk.raw"
	FileSBOM       = "sbom.json"
	FileManifest   = "manifest.json"
)

// ManifestVersion is the version of the manifest's format.
const ManifestVersion = 1

// Manifest names everything that went into an image and everything that came
// out of it. It is stored as JSON with these fields and no others.
type Manifest struct {
	Version int `json:"version"`
	// Release is the Keep runtime's version (keep.Version).
	Release string `json:"release"`
	// Commit is the source commit, or "" if it is not known. It does not
	// enter any measured file.
	Commit string `json:"commit,omitempty"`
	// Engine is the Wasm engine in the Keep runtime, with its version.
	Engine string `json:"engine"`
	// Arch is the CPU architecture in Go's words.
	Arch string `json:"arch"`
	// Debug says that the image has a console and tools to look inside. It
	// measures differently, and every verdict about it says DEBUG.
	Debug bool `json:"debug"`
	// Inputs are the Keep runtime ("keep"), the kernel package ("kernel"),
	// the UEFI stub's package ("stub"), …
	Inputs []Input `json:"inputs"`
	// Files are the image's files except manifest.json, in the order above.
	Files []File `json:"files"`
	// Cmdline is the text of cmdline, CmdlineSNP that of cmdline.snp.
	Cmdline    string `json:"cmdline"`
	CmdlineSNP string `json:"cmdline_snp"`
	// Modules are the kernel modules in the initrd, in load order.
	Modules []string `json:"modules"`
}

// Input is something that an image is made of.
type Input struct {
	Name    string `json:"name"`              // role: "keep", "kernel", "stub"
	Package string `json:"package,omitempty"` // package name, for inputs from one
	Version string `json:"version,omitempty"` // of the package
	SHA256  string `json:"sha256"`            // lower-case hexadecimal, of the package file or the file
}

// File is a file of an image.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // lower-case hexadecimal
}
