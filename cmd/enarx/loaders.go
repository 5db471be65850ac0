// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/loader"
)

// probeProcess reports on platform process.
func probeProcess(context.Context) loader.Report {
	return loader.Report{Platform: attest.PlatformProcess, Visible: "the host can see inside"}
}
