/* Copyright The Enarx in Go Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Lua includes this header, and uses nothing of it once unwind.h is there. */
