// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// The border between Go and the engine's C library. Everything that crosses it
// is a number, or memory that one side owns for the time of one call.

#ifndef ENARX_BINDING_H
#define ENARX_BINDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wasmtime.h>

// The layout of engine.Quick; a test holds the two together.
#define ENARX_QUICK_FDS 64
#define ENARX_QUICK_RANDOM 4096

typedef struct {
  int32_t read, write; // kernel descriptor + 1, or 0: ask Go
  uint32_t nonblock;
} enarx_quick_fd;

typedef struct {
  uint32_t active;
  uint32_t clock; // 1: the offsets count
  uint32_t unused;
  uint32_t random_left;
  uint64_t offset[2]; // realtime, monotonic
  enarx_quick_fd fds[ENARX_QUICK_FDS];
  uint8_t random[ENARX_QUICK_RANDOM];
} enarx_quick;

#define ENARX_MAX_VALUES 16

struct enarx_instance;

// enarx_host is one host function.
typedef struct {
  struct enarx_instance *in;
  uint32_t index; // in the Go side's list
  uint32_t params, results;
  uint8_t kinds[ENARX_MAX_VALUES]; // of the parameters
} enarx_host;

typedef struct enarx_instance {
  uint32_t id; // the Go side's name for it
  wasmtime_store_t *store;
  wasmtime_context_t *context;
  wasmtime_instance_t instance;
  wasmtime_memory_t memory;
  bool has_memory;
  char *memory_name; // under which the module exports it, or NULL
  size_t memory_name_size;
  enarx_quick *quick; // pinned memory of Go, or NULL
  size_t count;
  wasmtime_extern_t *imports;
  enarx_host hosts[];
} enarx_instance;

wasm_engine_t *enarx_engine_new(size_t stack);
wasmtime_error_t *enarx_module_new(wasm_engine_t *e, const uint8_t *wasm, size_t n, wasmtime_module_t **m);
enarx_instance *enarx_instance_new(wasm_engine_t *e, uint32_t id, size_t count, int64_t memory_bytes, int64_t table_elements);
bool enarx_offer(enarx_instance *in, size_t i, uint32_t index, int quick,
                 const uint8_t *params, size_t np, const uint8_t *results, size_t nr);
bool enarx_name_memory(enarx_instance *in, const char *name, size_t n);
wasmtime_error_t *enarx_start(enarx_instance *in, const wasmtime_module_t *m, wasm_trap_t **trap);
wasmtime_error_t *enarx_call(enarx_instance *in, const char *name, size_t n, bool *found, wasm_trap_t **trap);
void enarx_instance_delete(enarx_instance *in);
size_t enarx_trap_frames(const wasm_trap_t *t);
int enarx_trap_code(const wasm_trap_t *t); // or -1

#endif
