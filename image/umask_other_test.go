// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package image_test

func umask(int) int { return 0 }
