// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package attest turns evidence into claims.
package attest
