// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package enarxtoml is the client's side of a workload: it reads Enarx.toml
// and packs what that file names into a [workload.Package].
//
// [Parse] reads the text, strictly: a key that nobody knows is an error with
// its line and column and, if it looks misspelt, with the key that was
// probably meant. All errors of a file are reported at once ([Errors]); things
// that are allowed and often not meant are warnings of the [Doc]. [PackFiles]
// then adds the command line ([Overrides]), reads the files and gives back the
// package for [workload.Pack]. [Default] stands for a missing Enarx.toml.
//
// The Keep never sees any of this. It reads the bundle, in which every default
// is written out, and does not import this package.
//
// docs/enarx-toml.md is the reference of the keys for users, with every
// deviation from the original's Enarx.toml.
//
// # Trust
//
// Enarx.toml may come from somebody else, with a program that somebody wants
// to try. So it can name files only in its own directory and below: no
// absolute path, no "..", no symbolic link anywhere. Whatever it names ends up
// in the bundle and nothing else does; steward is kept as text and never
// contacted.
package enarxtoml
