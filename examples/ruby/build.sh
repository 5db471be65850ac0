#!/bin/sh
# Copyright The Enarx in Go Authors
# SPDX-License-Identifier: Apache-2.0
#
# ./build.sh: makes ruby.wasm of npm's Ruby and of wasi/*.wat, which is what
# JavaScript gives it elsewhere.
set -eu
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
for part in start rb-js-abi-host canonical_abi; do
	wat2wasm -o "$objects/$part.wasm" "wasi/$part.wat"
done
npx wasm-merge --enable-bulk-memory --enable-sign-ext --enable-nontrapping-float-to-int --enable-mutable-globals \
	node_modules/@ruby/3.4-wasm-wasi/dist/ruby.wasm ruby "$objects/start.wasm" start \
	"$objects/rb-js-abi-host.wasm" rb-js-abi-host "$objects/canonical_abi.wasm" canonical_abi -o ruby.wasm
