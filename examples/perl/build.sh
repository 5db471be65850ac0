#!/bin/sh
# Copyright The Enarx in Go Authors
# SPDX-License-Identifier: Apache-2.0
#
# ./build.sh: makes perl.wasm of npm's Perl and of wasi/*.wat, which is what
# JavaScript gives it elsewhere.
set -eu
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
for part in start env; do
	wat2wasm -o "$objects/$part.wasm" "wasi/$part.wat"
done
npx wasm-merge --enable-bulk-memory --enable-sign-ext --enable-nontrapping-float-to-int --enable-mutable-globals \
	node_modules/@6over3/zeroperl-ts/dist/esm/zeroperl.wasm perl "$objects/start.wasm" start \
	"$objects/env.wasm" env -o perl.wasm
