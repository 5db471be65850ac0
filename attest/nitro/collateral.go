// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitro

import "crypto/x509"

// Root is the certificate of AWS's root that is built in, for the package that
// keeps collateral. It is a copy: what is done to it has no effect here.
func Root() (*x509.Certificate, error) {
	c, err := awsRoot()
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(c.Raw)
}
