// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build enarx_wasmtime && cgo

package sandbox

import "errors"

// reach is never asked for here: see restrictLandlock.
type reach struct {
	dirs, cacheRead, cacheWrite, signals bool
	files                                []string
}

// restrictLandlock does not exist in the engine's own program, whose threads
// are not all Go's. It inherits its layer: see exec_unsafe.go.
func restrictLandlock(*Spec, reach) (Layer, error) {
	return Layer{}, errors.New("restrict the file system: this program cannot, StageExec has done it")
}
