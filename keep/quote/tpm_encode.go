// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"context"
	"errors"
	"time"
)

// credential is a challenge, taken apart.
type credential struct {
	endorsement  int
	blob, secret []byte
}

func activation() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Second)
}

func (t *TPM) encode(q quoted) ([]byte, error) { return nil, errors.New("later") }

func decodeChallenge(b []byte) (credential, error) { return credential{}, errors.New("later") }

func clip(s string) string { return s[:min(len(s), 100)] }
