// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

#ifndef ENARX_QUICK_H
#define ENARX_QUICK_H

#include "binding.h"

// enarx_host_call hands a call to Go.
wasm_trap_t *enarx_host_call(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t n);

// enarx_quick_function is the function that answers calls of one kind (the
// values of engine.QuickKind) itself where it can, or enarx_host_call.
wasmtime_func_unchecked_callback_t enarx_quick_function(int kind);

#endif
