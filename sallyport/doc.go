// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package sallyport is the one narrow channel between a Keep and its host.
package sallyport
