// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/collateral/item"
)

// AWS is where the issuers of Nitro documents publish their revocation lists.
// Which list is where, only their certificates say: package item takes an
// address only out of a chain that leads to AWS's root, only if it is one of
// AWS's, and asks for it by https whatever the certificate says.
type AWS struct {
	// Client carries the requests.
	Client *Client
}

// String names the source.
func (a *AWS) String() string { return "AWS's revocation lists" }

// Get asks for a list.
func (a *AWS) Get(ctx context.Context, it item.Item) (*Answer, error) {
	if it.Kind != item.NitroList {
		return nil, notServed(a, it)
	}
	if err := it.Valid(); err != nil {
		return nil, err
	}
	r, err := a.Client.get(ctx, it.URL, nil)
	var s *StatusError
	if errors.As(err, &s) && (s.Status == http.StatusNotFound || s.Status == http.StatusForbidden) {
		// S3 answers 403 for what it does not have.
		return nil, &NotFoundError{it, fmt.Errorf("%s no longer has this list (%d): certificates of regions last three weeks, and their lists go with them", host(s.URL), s.Status)}
	} else if err != nil {
		return nil, err
	}
	der, err := listDER(r.body)
	if err != nil {
		return nil, &item.RefusedError{Item: it, Rule: item.RuleForm, Err: fmt.Errorf("answer of %s: %w", host(r.url), err)}
	}
	parts := attest.Collateral{{MediaType: attest.MediaTypeCRL, Value: der}}
	for _, text := range strings.Split(it.Issuers, ",") {
		if der, err := hex.DecodeString(text); err == nil && len(der) > 0 {
			parts = append(parts, attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: der})
		}
	}
	return &Answer{Parts: parts, URL: r.url}, nil
}
