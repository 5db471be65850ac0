// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package image_test

import "golang.org/x/sys/unix"

func umask(mask int) int { return unix.Umask(mask) }
