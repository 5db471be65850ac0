// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"errors"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/keep/session"
	"github.com/enarx/enarx-go/workload"
)

// The Keep itself refuses a workload that asks for confidentiality on every
// platform whose host sees inside, and on every one that it does not know,
// whatever its client has accepted. The machines of vm and vtpm among them, whose
// boot may have been proven.
func TestInvariant1NoSilentDowngrade_ConfidentialOnEveryPlatform(t *testing.T) {
	out := map[string]bool{attest.PlatformSNP: true, attest.PlatformTDX: true, attest.PlatformSGX: true}
	for _, platform := range []string{
		attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX, attest.PlatformNitro, attest.PlatformVTPM, attest.PlatformVM,
		attest.PlatformProcess, attest.PlatformSim, "", "SNP", "snp ", "cloud",
	} {
		for _, confidential := range []bool{true, false} {
			k := &Keep{}
			k.start.Platform = platform
			w := &work{config: workload.Config{Confidential: confidential}}
			// It asks for a secret that does not come, which is found out
			// after confidentiality: no part of it is ever run here.
			w.config.Secrets = []workload.Secret{{Name: "key", Path: "/key"}}
			err := k.checkAll(&claimant{}, w)
			var r *session.Refused
			if !errors.As(err, &r) {
				t.Fatalf("%q: %v", platform, err)
			}
			if refused := r.Code == session.CodeConfidential; refused != (confidential && !out[platform]) {
				t.Errorf("platform %q, confidential = %v: %v", platform, confidential, err)
			}
		}
	}
}
