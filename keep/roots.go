// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package keep

import (
	"crypto/x509"
	"errors"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// mozillaRoots are the CA certificates of Mozilla's root programme as they
// were when this Keep was built. Certificates that Mozilla trusts only under
// further constraints keep those.
func mozillaRoots() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	n := 0
	for r := range bundle.Roots() {
		c, err := x509.ParseCertificate(r.Certificate)
		if err != nil {
			return nil, errors.New("the embedded CA roots are damaged")
		}
		if r.Constraint != nil {
			pool.AddCertWithConstraint(c, r.Constraint)
		} else {
			pool.AddCert(c)
		}
		n++
	}
	if n == 0 {
		return nil, errors.New("the embedded CA roots are empty")
	}
	return pool, nil
}
