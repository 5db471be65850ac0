/* Copyright The Enarx in Go Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * QuickJS includes this header and uses nothing of it. */
