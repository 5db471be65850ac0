// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package qemu

import (
	"context"
	"fmt"

	"github.com/enarx/enarx-go/attest"
)

// least are the first versions of QEMU that can launch a platform: both need
// guest memory that the host cannot map, SNP since 9.1, TDX since 10.1.
var least = map[string]Version{attest.PlatformSNP: {9, 1}, attest.PlatformTDX: {10, 1}}

// checkConfidential refuses a machine that cannot launch the platform.
func (l *Loader) checkConfidential(p program) error {
	v, ok := least[l.o.Platform]
	if !ok {
		return nil
	}
	if p.version.less(v.Major, v.Minor) {
		return fmt.Errorf("start Keep: platform %s needs QEMU %v or later, %s is %v", l.o.Platform, v, p.path, p.version)
	}
	for _, c := range l.Probe(context.Background()).Checks {
		if !c.OK && c.Remedy != "" {
			return fmt.Errorf("start Keep: %s: %s; %s", c.Name, c.Seen, c.Remedy)
		}
	}
	return nil
}
