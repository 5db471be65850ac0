// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package nitro

import (
	"crypto/sha256"
	"crypto/x509"
	_ "embed" // for the root
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"sync"

	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
)

//go:embed roots/aws-nitro-root-g1.pem
var rootPEM []byte

// rootDigest is the SHA-256 digest of the root's certificate, which AWS
// publishes beside it.
const rootDigest = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"

// awsRoot parses what is built in, once. An error leaves no root at all, so
// that nothing verifies.
var awsRoot = sync.OnceValues(func() (*x509.Certificate, error) { return parseRoot(rootPEM) })

// parseRoot takes AWS's root and nothing else.
func parseRoot(b []byte) (*x509.Certificate, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) != 0 {
		return nil, fmt.Errorf("root of AWS Nitro: not one certificate in PEM")
	}
	if sum := sha256.Sum256(block.Bytes); hex.EncodeToString(sum[:]) != rootDigest {
		return nil, fmt.Errorf("root of AWS Nitro: a certificate of SHA-256 %x, expected %s", sum, rootDigest)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err == nil {
		err = nitrodoc.CheckRoot(c)
	}
	if err != nil {
		return nil, fmt.Errorf("root of AWS Nitro: %w", err)
	}
	return c, nil
}
