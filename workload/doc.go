// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package workload is what a tenant wants to run: configuration, module and
// files, packed into one canonical bundle whose digest is its identity.
package workload
