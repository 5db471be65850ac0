// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package hostproc is what the loaders share: control groups that bound a Keep,
// and the processes of a Keep, found again and ended without ever touching a
// stranger that has the same number.
//
// Make a Keep's groups with [Groups] and [Group.Make], put its processes into
// them while these still wait for something ([Group.Add]), and remove them with
// [RemoveGroup] when the processes are gone. A process is known by its number
// together with the time it began ([StartTime]); [EndProcess] kills that one or
// none.
package hostproc
