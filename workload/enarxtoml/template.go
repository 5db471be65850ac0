// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarxtoml

import _ "embed"

//go:embed template.toml
var template string

// Template is the commented Enarx.toml that "enarx init" writes. As it stands
// it means the same as no Enarx.toml at all; every setting in it that begins
// with "#" and no space is an example to be uncommented.
func Template() string { return template }
