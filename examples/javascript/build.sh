#!/bin/sh
# Copyright The Enarx in Go Authors
# SPDX-License-Identifier: Apache-2.0
#
# ./build.sh QUICKJS-SOURCE: makes js.wasm. QuickJS's own warnings are not ours.
set -eu
src=$1
clang --target=wasm32-wasi --sysroot=/usr -O1 -w -I wasi -I "$src" -D_GNU_SOURCE \
	-DCONFIG_VERSION="\"$(cat "$src/VERSION")\"" -Wl,-z,stack-size=1048576 -o js.wasm \
	host.c "$src/quickjs.c" "$src/libregexp.c" "$src/libunicode.c" "$src/cutils.c" "$src/dtoa.c"
