/* Copyright The Enarx in Go Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Just as much of pthread.h as QuickJS uses, for programs of one thread: a
 * mutex is always free, and nobody ever waits. (Atomics.wait would; QuickJS
 * refuses it to the main thread.) */
#ifndef PTHREAD_H
#define PTHREAD_H

#include <errno.h>
#include <time.h>

typedef char pthread_mutex_t;
typedef char pthread_cond_t;

#define PTHREAD_MUTEX_INITIALIZER 0
#define pthread_mutex_lock(m) ((void)(m), 0)
#define pthread_mutex_unlock(m) ((void)(m), 0)
#define pthread_cond_init(c, attr) ((void)(c), 0)
#define pthread_cond_destroy(c) ((void)(c), 0)
#define pthread_cond_signal(c) ((void)(c), 0)
#define pthread_cond_wait(c, m) ((void)(c), (void)(m), ENOTSUP)
#define pthread_cond_timedwait(c, m, t) ((void)(c), (void)(m), (void)(t), ETIMEDOUT)

#endif
