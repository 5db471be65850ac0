// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build enarx_wasmtime && cgo

// The calls of WASI that programs make most, answered without Go where that is
// simple. Whatever is out of the ordinary - a bad address, a descriptor that
// Go has not described, a stream that would have to wait - goes to Go, which
// alone knows errors. Every number here is the guest's and hostile.

#define _GNU_SOURCE // explicit_bzero

#include "quick.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define QUICK_IOVECS 16
#define QUICK_BYTES (1 << 20)

// view is the guest's memory at ptr, or NULL if not all n bytes lie inside.
static uint8_t *view(enarx_instance *in, uint32_t ptr, uint64_t n) {
  uint64_t size = wasmtime_memory_data_size(in->context, &in->memory);
  if ((uint64_t)ptr + n > size) {
    return NULL;
  }
  return wasmtime_memory_data(in->context, &in->memory) + ptr;
}

static uint32_t get32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v) {
  for (int i = 0; i < 4; i++) {
    p[i] = (uint8_t)(v >> 8 * i);
  }
}

static void put64(uint8_t *p, uint64_t v) {
  put32(p, (uint32_t)v);
  put32(p + 4, (uint32_t)(v >> 32));
}

static bool ready(enarx_instance *in) { return in->quick != NULL && in->has_memory; }

// clock_time_get(id i32, precision i64, result i32)
static wasm_trap_t *quick_clock(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n) {
  enarx_instance *in = ((enarx_host *)env)->in;
  uint32_t id = (uint32_t)v[0].i32;
  struct timespec ts;
  uint8_t *result;
  if (!ready(in) || !in->quick->clock || id > 1 || (result = view(in, (uint32_t)v[2].i32, 8)) == NULL ||
      clock_gettime(CLOCK_MONOTONIC, &ts) != 0) {
    return enarx_host_call(env, caller, v, n);
  }
  put64(result, in->quick->offset[id] + (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec);
  v[0].i64 = 0;
  return NULL;
}

// random_get(buffer i32, length i32). Bytes that were given out are wiped.
static wasm_trap_t *quick_random(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n) {
  enarx_instance *in = ((enarx_host *)env)->in;
  uint32_t length = (uint32_t)v[1].i32;
  uint8_t *to;
  if (!ready(in) || length > in->quick->random_left || in->quick->random_left > ENARX_QUICK_RANDOM ||
      (to = view(in, (uint32_t)v[0].i32, length)) == NULL) {
    return enarx_host_call(env, caller, v, n);
  }
  uint8_t *from = in->quick->random + in->quick->random_left - length;
  memcpy(to, from, length);
  explicit_bzero(from, length);
  in->quick->random_left -= length;
  v[0].i64 = 0;
  return NULL;
}

// buffers reads the vector of a read or write; false if there is anything to
// say about it.
static bool buffers(enarx_instance *in, uint32_t ptr, uint32_t count, struct iovec *iov, uint64_t *total) {
  const uint8_t *raw;
  if (count > QUICK_IOVECS || (raw = view(in, ptr, (uint64_t)count * 8)) == NULL) {
    return false;
  }
  *total = 0;
  for (uint32_t i = 0; i < count; i++, raw += 8) {
    uint32_t length = get32(raw + 4);
    uint8_t *b = view(in, get32(raw), length);
    *total += length;
    if (b == NULL) {
      return false;
    }
    iov[i].iov_base = b;
    iov[i].iov_len = length;
  }
  return *total > 0 && *total <= QUICK_BYTES;
}

static enarx_quick_fd *quick_fd(enarx_instance *in, uint32_t fd) {
  return ready(in) && fd < ENARX_QUICK_FDS ? &in->quick->fds[fd] : NULL;
}

// fd_read(fd i32, iovs i32, count i32, result i32): what is there, or Go, which
// can wait.
static wasm_trap_t *quick_read(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n) {
  enarx_instance *in = ((enarx_host *)env)->in;
  enarx_quick_fd *fd = quick_fd(in, (uint32_t)v[0].i32);
  struct iovec iov[QUICK_IOVECS];
  uint64_t total;
  uint8_t *result;
  ssize_t got;
  if (fd == NULL || fd->read == 0 || (result = view(in, (uint32_t)v[3].i32, 4)) == NULL ||
      !buffers(in, (uint32_t)v[1].i32, (uint32_t)v[2].i32, iov, &total) ||
      (got = readv(fd->read - 1, iov, v[2].i32)) < 0) {
    return enarx_host_call(env, caller, v, n);
  }
  put32(result, (uint32_t)got);
  v[0].i64 = 0;
  return NULL;
}

// advance takes n bytes off the front of a vector.
static struct iovec *advance(struct iovec *iov, int *count, size_t n) {
  while (*count > 0 && n >= iov->iov_len) {
    n -= iov->iov_len;
    iov++;
    (*count)--;
  }
  if (*count > 0) {
    iov->iov_base = (uint8_t *)iov->iov_base + n;
    iov->iov_len -= n;
  }
  return iov;
}

// fd_write(fd i32, iovs i32, count i32, result i32): everything, as in Go.
static wasm_trap_t *quick_write(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n) {
  enarx_instance *in = ((enarx_host *)env)->in;
  enarx_quick_fd *fd = quick_fd(in, (uint32_t)v[0].i32);
  struct iovec vector[QUICK_IOVECS], *iov = vector;
  uint64_t total, done = 0;
  uint8_t *result;
  if (fd == NULL || fd->write == 0 || (result = view(in, (uint32_t)v[3].i32, 4)) == NULL ||
      !buffers(in, (uint32_t)v[1].i32, (uint32_t)v[2].i32, iov, &total)) {
    return enarx_host_call(env, caller, v, n);
  }
  for (int count = v[2].i32; done < total;) {
    ssize_t put = writev(fd->write - 1, iov, count);
    if (put >= 0) {
      done += (uint64_t)put;
      iov = advance(iov, &count, (size_t)put);
      continue;
    }
    if (errno == EINTR) {
      continue;
    }
    if (done == 0) {
      return enarx_host_call(env, caller, v, n);
    }
    struct pollfd p = {.fd = fd->write - 1, .events = POLLOUT};
    if (errno != EAGAIN || fd->nonblock || (poll(&p, 1, -1) < 0 && errno != EINTR)) {
      break; // what was written counts; the next call sees the error
    }
  }
  put32(result, (uint32_t)done);
  v[0].i64 = 0;
  return NULL;
}

static wasm_trap_t *quick_nothing(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *v, size_t n) {
  (void)env, (void)caller, (void)n;
  v[0].i64 = 0;
  return NULL;
}

wasmtime_func_unchecked_callback_t enarx_quick_function(int kind) {
  switch (kind) {
  case 1:
    return quick_clock;
  case 2:
    return quick_random;
  case 3:
    return quick_read;
  case 4:
    return quick_write;
  case 5:
    return quick_nothing;
  }
  return enarx_host_call;
}
