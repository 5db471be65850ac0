// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build enarx_wasmtime && cgo

#define _GNU_SOURCE // pthread_setattr_default_np

#include "binding.h"
#include "quick.h"
#include "_cgo_export.h"

#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// Threads of the Go runtime get the C library's default stack, which would be
// the limit of the process: 8 MiB each, all of it counted as the Keep's memory.
#define ENARX_THREAD_STACK (6 << 20)

// Before it gives memory back by itself, glibc asks a file of the kernel whether
// it may, and a sandboxed child cannot open files. So it never does by itself;
// enarx_module_new does after compiling, which is when there is much to give.
__attribute__((constructor)) static void set_up_library(void) {
  pthread_attr_t a;
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  if (pthread_attr_init(&a) != 0) {
    return;
  }
  if (pthread_attr_setstacksize(&a, ENARX_THREAD_STACK) == 0) {
    pthread_setattr_default_np(&a);
  }
  pthread_attr_destroy(&a);
}

// What a module may use is what it may use on wazero, so that one that runs
// here runs there.
wasm_engine_t *enarx_engine_new(size_t stack) {
  wasm_config_t *c = wasm_config_new();
  if (c == NULL) {
    return NULL;
  }
  wasmtime_config_max_wasm_stack_set(c, stack);
  wasmtime_config_wasm_threads_set(c, false);
  wasmtime_config_wasm_tail_call_set(c, true);
  wasmtime_config_wasm_reference_types_set(c, true);
  wasmtime_config_wasm_function_references_set(c, false);
  wasmtime_config_wasm_gc_set(c, false);
  wasmtime_config_wasm_simd_set(c, true);
  wasmtime_config_wasm_relaxed_simd_set(c, false);
  wasmtime_config_wasm_bulk_memory_set(c, true);
  wasmtime_config_wasm_multi_value_set(c, true);
  wasmtime_config_wasm_multi_memory_set(c, false);
  wasmtime_config_wasm_memory64_set(c, false);
  wasmtime_config_wasm_wide_arithmetic_set(c, false);
  wasmtime_config_wasm_exceptions_set(c, false);
  wasmtime_config_wasm_custom_page_sizes_set(c, false);
  wasmtime_config_wasm_stack_switching_set(c, false);
  wasmtime_config_wasm_component_model_set(c, false);
  wasmtime_config_strategy_set(c, WASMTIME_STRATEGY_CRANELIFT);
  wasmtime_config_cranelift_opt_level_set(c, WASMTIME_OPT_LEVEL_SPEED);
  wasmtime_config_profiler_set(c, WASMTIME_PROFILING_STRATEGY_NONE);
  wasmtime_config_debug_info_set(c, false);
  // Copies on write pay for the second instance, and are set up by the first,
  // when the process has no right to do that any more.
  wasmtime_config_memory_init_cow_set(c, false);
  // Tables for C++ exceptions, which nobody throws through a guest.
  wasmtime_config_native_unwind_info_set(c, false);
  return wasm_engine_new_with_config(c);
}

wasmtime_error_t *enarx_module_new(wasm_engine_t *e, const uint8_t *wasm, size_t n, wasmtime_module_t **m) {
  wasmtime_error_t *err = wasmtime_module_new(e, wasm, n, m);
  malloc_trim(0);
  return err;
}

enarx_instance *enarx_instance_new(wasm_engine_t *e, uint32_t id, size_t count, int64_t memory_bytes, int64_t table_elements) {
  enarx_instance *in = calloc(1, sizeof *in + count * sizeof(enarx_host));
  if (in == NULL) {
    return NULL;
  }
  in->id = id;
  in->count = count;
  in->imports = calloc(count + 1, sizeof *in->imports);
  in->store = wasmtime_store_new(e, NULL, NULL);
  if (in->imports == NULL || in->store == NULL) {
    enarx_instance_delete(in);
    return NULL;
  }
  in->context = wasmtime_store_context(in->store);
  wasmtime_store_limiter(in->store, memory_bytes, table_elements, 1, -1, 1);
  return in;
}

static void set_memory(enarx_instance *in, wasmtime_extern_t *item);

// enarx_host_call hands a call to Go, with the values in the form of package engine:
// 64 bits each, the upper half of a 32-bit value zero.
wasm_trap_t *enarx_host_call(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t n) {
  (void)n;
  enarx_host *h = env;
  enarx_instance *in = h->in;
  wasmtime_extern_t item;
  if (!in->has_memory && in->memory_name != NULL && // in the start section
      wasmtime_caller_export_get(caller, in->memory_name, in->memory_name_size, &item)) {
    set_memory(in, &item);
  }
  uint64_t stack[ENARX_MAX_VALUES];
  for (uint32_t i = 0; i < h->params; i++) {
    uint64_t v = (uint64_t)values[i].i64;
    stack[i] = h->kinds[i] == WASM_I32 || h->kinds[i] == WASM_F32 ? (uint32_t)v : v;
  }
  uint8_t *data = NULL;
  uint64_t size = 0;
  if (in->has_memory) {
    data = wasmtime_memory_data(in->context, &in->memory);
    size = wasmtime_memory_data_size(in->context, &in->memory);
  }
  if (enarxHostCall(in->id, h->index, stack, data, size) != 0) {
    return wasmtime_trap_new("host", 4); // the Go side knows why
  }
  for (uint32_t i = 0; i < h->results; i++) {
    values[i].i64 = (int64_t)stack[i];
  }
  return NULL;
}

static bool valtypes(wasm_valtype_vec_t *out, const uint8_t *kinds, size_t n) {
  wasm_valtype_t *types[ENARX_MAX_VALUES];
  if (n > ENARX_MAX_VALUES) {
    return false;
  }
  for (size_t i = 0; i < n; i++) {
    types[i] = wasm_valtype_new(kinds[i]);
  }
  wasm_valtype_vec_new(out, n, types);
  return true;
}

bool enarx_offer(enarx_instance *in, size_t i, uint32_t index, int quick,
                 const uint8_t *params, size_t np, const uint8_t *results, size_t nr) {
  wasm_valtype_vec_t p, r;
  if (i >= in->count || np > ENARX_MAX_VALUES || nr > ENARX_MAX_VALUES) {
    return false;
  }
  valtypes(&p, params, np);
  valtypes(&r, results, nr);
  enarx_host *h = &in->hosts[i];
  h->in = in;
  h->index = index;
  h->params = (uint32_t)np;
  h->results = (uint32_t)nr;
  memcpy(h->kinds, params, np);
  wasm_functype_t *type = wasm_functype_new(&p, &r);
  in->imports[i].kind = WASMTIME_EXTERN_FUNC;
  wasmtime_func_new_unchecked(in->context, type, enarx_quick_function(quick), h, NULL, &in->imports[i].of.func);
  wasm_functype_delete(type);
  return true;
}

bool enarx_name_memory(enarx_instance *in, const char *name, size_t n) {
  in->memory_name = malloc(n + 1);
  if (in->memory_name == NULL) {
    return false;
  }
  memcpy(in->memory_name, name, n);
  in->memory_name_size = n;
  return true;
}

static void set_memory(enarx_instance *in, wasmtime_extern_t *item) {
  if (item->kind == WASMTIME_EXTERN_MEMORY) {
    in->memory = item->of.memory;
    in->has_memory = true;
  }
  wasmtime_extern_delete(item);
}

wasmtime_error_t *enarx_start(enarx_instance *in, const wasmtime_module_t *m, wasm_trap_t **trap) {
  wasmtime_error_t *err = wasmtime_instance_new(in->context, m, in->imports, in->count, &in->instance, trap);
  wasmtime_extern_t item;
  if (err == NULL && *trap == NULL && in->memory_name != NULL && !in->has_memory &&
      wasmtime_instance_export_get(in->context, &in->instance, in->memory_name, in->memory_name_size, &item)) {
    set_memory(in, &item);
  }
  return err;
}

wasmtime_error_t *enarx_call(enarx_instance *in, const char *name, size_t n, bool *found, wasm_trap_t **trap) {
  wasmtime_extern_t item;
  wasmtime_val_raw_t none[1];
  *found = wasmtime_instance_export_get(in->context, &in->instance, name, n, &item);
  if (!*found) {
    return NULL;
  }
  if (item.kind != WASMTIME_EXTERN_FUNC) {
    wasmtime_extern_delete(&item);
    *found = false;
    return NULL;
  }
  return wasmtime_func_call_unchecked(in->context, &item.of.func, none, 0, trap);
}

void enarx_instance_delete(enarx_instance *in) {
  if (in->store != NULL) {
    wasmtime_store_delete(in->store);
  }
  free(in->imports);
  free(in->memory_name);
  free(in);
}

size_t enarx_trap_frames(const wasm_trap_t *t) {
  wasm_frame_vec_t frames;
  wasm_trap_trace(t, &frames);
  size_t n = frames.size;
  wasm_frame_vec_delete(&frames);
  return n;
}

int enarx_trap_code(const wasm_trap_t *t) {
  wasmtime_trap_code_t code;
  return wasmtime_trap_code(t, &code) ? code : -1;
}
