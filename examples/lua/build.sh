#!/bin/sh
# Copyright The Enarx in Go Authors
# SPDX-License-Identifier: Apache-2.0
#
# ./build.sh LUA-SOURCE: makes lua.wasm.
set -eu
src=$1/src
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT

# Two steps: given -O, clang would optimize what it links with the wasm-opt that
# it finds, and so inline what Asyncify has to see as calls. lua.c and luac.c are
# Lua's own programs.
ls main.c wasi/unwind.c "$src"/l*.c | grep -v '/luac*\.c$' | xargs -P "$(nproc)" -I {} sh -c '
	clang --target=wasm32-wasi --sysroot=/usr -O1 -I wasi -I "$2" -include wasi/unwind.h \
		-D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS -Wno-deprecated-declarations \
		-c -o "$1/$(basename "$3").o" "$3"' compile "$objects" "$src" {}
clang --target=wasm32-wasi --sysroot=/usr -Wl,-z,stack-size=1048576 -o "$objects/linked.wasm" "$objects"/*.o \
	-lwasi-emulated-signal -lwasi-emulated-process-clocks

# With -O2 after the pass, building takes longer and scripts run faster.
npx wasm-opt --asyncify --pass-arg=asyncify-ignore-imports -o lua.wasm "$objects/linked.wasm"
