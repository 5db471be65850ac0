// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package collateral

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/collateral/item"
)

// Source is somewhere that items come from: a vendor's service, a mirror of
// it, a directory. What it answers is not believed: whoever asks checks it.
type Source interface {
	// Get asks for one item. An error that wraps [ErrNotServed] means that
	// another source may be asked; a [NotFoundError] that this source knows
	// the item not to exist.
	Get(ctx context.Context, it item.Item) (*Answer, error)
	// String names the source for people.
	String() string
}

// Answer is what a source said, unproven.
type Answer struct {
	// Parts are the parts of the item, in the order of its kind.
	Parts attest.Collateral
	// URL is where they came from.
	URL string
}

// ErrNotServed is wrapped by a source that does not have items of the kind.
var ErrNotServed = errors.New("not served")

// NotFoundError is a source's word that there is no such item.
type NotFoundError struct {
	Item item.Item
	Err  error // what was asked and what it means
}

func (e *NotFoundError) Error() string { return e.Err.Error() }

// Unwrap gives the detail.
func (e *NotFoundError) Unwrap() error { return e.Err }

func notServed(s Source, it item.Item) error {
	return fmt.Errorf("%v has no items of kind %s: %w", s, it.Kind, ErrNotServed)
}

// AMDService is AMD's key distribution service.
const AMDService = "https://kdsintf.amd.com"

// KDS is AMD's key distribution service or a mirror of it (document 57230,
// "VCEK Certificate and KDS Interface Specification").
type KDS struct {
	// Client carries the requests.
	Client *Client
	// Base is the address before /vcek/v1; empty means [AMDService].
	Base string
}

func (k *KDS) base() string { return base(k.Base, AMDService, "/vcek/v1") }

// base strips what people write after the part that is a base.
func base(given, vendor, path string) string {
	if given == "" {
		return vendor
	}
	given = strings.TrimRight(given, "/")
	return strings.TrimRight(strings.TrimSuffix(given, path), "/")
}

// String is the service's address.
func (k *KDS) String() string { return k.base() }

// Get asks for VCEK, chain or list.
func (k *KDS) Get(ctx context.Context, it item.Item) (*Answer, error) {
	if err := it.Valid(); err != nil {
		return nil, err
	}
	switch it.Kind {
	case item.VCEK, item.AMDChain, item.AMDList:
	case item.VLEK:
		return nil, &NotFoundError{it, fmt.Errorf("AMD's key service gives out no VLEK: the host has it; take it from the certificate table of the extended guest request and give it along with the evidence")}
	default:
		return nil, notServed(k, it)
	}
	path, err := it.KDSPath()
	if err != nil {
		return nil, err
	}
	r, err := k.Client.get(ctx, k.base()+path, nil)
	if err != nil {
		return nil, k.explain(it, err)
	}
	parts, err := k.parts(it, r.body)
	if err != nil {
		return nil, &item.RefusedError{Item: it, Rule: item.RuleForm, Err: fmt.Errorf("answer of %s: %w", host(r.url), err)}
	}
	return &Answer{Parts: parts, URL: r.url}, nil
}

// explain says what 404 means here.
func (k *KDS) explain(it item.Item, err error) error {
	var s *StatusError
	if !errors.As(err, &s) || s.Status != http.StatusNotFound && s.Status != http.StatusBadRequest {
		return err
	}
	switch {
	case it.Kind == item.VCEK && s.Status == http.StatusNotFound:
		return &NotFoundError{it, fmt.Errorf("AMD has no VCEK for this chip id at this TCB level on line %s (%s answers 404): the report is not of a production %s chip, or names a level that AMD does not know; check the line, and take the VCEK from the host's certificate table if it has one", it.Line, host(s.URL), it.Line)}
	case s.Status == http.StatusNotFound:
		return &NotFoundError{it, fmt.Errorf("%s has no %v (404): an old mirror may not know this product line", host(s.URL), it)}
	}
	return fmt.Errorf("%w: it does not take the request for the %v; an old mirror may not know this product line", err, it)
}

func (k *KDS) parts(it item.Item, body []byte) (attest.Collateral, error) {
	switch it.Kind {
	case item.AMDChain:
		ders, err := splitPEM(body)
		if err != nil {
			return nil, err
		}
		var parts attest.Collateral
		for _, der := range ders {
			parts = append(parts, attest.Evidence{MediaType: attest.MediaTypeCertificate, Value: der})
		}
		return parts, nil
	case item.AMDList:
		der, err := listDER(body)
		return attest.Collateral{{MediaType: attest.MediaTypeCRL, Value: der}}, err
	}
	return attest.Collateral{{MediaType: attest.MediaTypeCertificate, Value: body}}, nil
}

// listDER gives a revocation list in DER. Services disagree about the form:
// DER, PEM, or DER in hexadecimal (Intel's PCCS).
func listDER(body []byte) ([]byte, error) {
	text := bytes.TrimSpace(body)
	if bytes.HasPrefix(text, []byte("-----BEGIN X509 CRL-----")) {
		block, rest := pem.Decode(text)
		if block == nil || len(bytes.TrimSpace(rest)) != 0 {
			return nil, fmt.Errorf("a revocation list in PEM that does not end as one")
		}
		return block.Bytes, nil
	}
	if len(text) > 0 && len(text)%2 == 0 && bytes.HasPrefix(text, []byte("30")) {
		der := make([]byte, hex.DecodedLen(len(text)))
		if _, err := hex.Decode(der, text); err == nil {
			return der, nil
		}
	}
	return body, nil
}

// IntelService and IntelRootList are Intel's addresses.
const (
	IntelService  = "https://api.trustedservices.intel.com"
	IntelRootList = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
)

// pcsPath is the version of Intel's interface that is spoken.
const pcsPath = "/sgx/certification/v4"

// PCS is Intel's provisioning certification service, version 4, or a caching
// service in front of it (PCCS).
type PCS struct {
	// Client carries the requests.
	Client *Client
	// Base is the address before /sgx/certification/v4 (as in PCCS_URL, with
	// or without that path); empty means [IntelService].
	Base string
	// Key is a subscription key of Intel's. Only PCK certificates need one,
	// and only from Intel itself; it is sent nowhere else.
	Key string
}

func (p *PCS) base() string { return base(p.Base, IntelService, pcsPath) }

func (p *PCS) isIntel() bool { return p.base() == IntelService }

// String is the service's address.
func (p *PCS) String() string { return p.base() }

// Get asks for one of Intel's items.
func (p *PCS) Get(ctx context.Context, it item.Item) (*Answer, error) {
	if err := it.Valid(); err != nil {
		return nil, err
	}
	u, chains, err := p.address(it)
	if err != nil {
		return nil, err
	}
	var header http.Header
	if it.Kind == item.PCK && p.isIntel() {
		if p.Key == "" {
			return nil, fmt.Errorf("asking Intel for the %v: it gives out PCK certificates only with a subscription key; name a PCCS that has this platform, or a key", it)
		}
		header = http.Header{"Ocp-Apim-Subscription-Key": {p.Key}}
	}
	r, err := p.Client.get(ctx, u, header)
	if err != nil {
		return nil, p.explain(it, err)
	}
	parts, err := p.parts(it, r, chains)
	if err != nil {
		return nil, &item.RefusedError{Item: it, Rule: item.RuleForm, Err: fmt.Errorf("answer of %s: %w", host(r.url), err)}
	}
	return &Answer{Parts: parts, URL: r.url}, nil
}

// address is where an item is, and the headers that its chain can be in.
func (p *PCS) address(it item.Item) (string, []string, error) {
	q := url.Values{}
	switch {
	case it.Kind != item.TCBInfo && it.Kind != item.QEIdentity:
	case it.Evaluation == "":
		q.Set("update", "standard")
	case it.Evaluation == "early":
		q.Set("update", "early")
	default:
		q.Set("tcbEvaluationDataNumber", it.Evaluation)
	}
	switch it.Kind {
	case item.TCBInfo:
		q.Set("fmspc", it.FMSPC)
		return p.base() + "/" + it.TEE + "/certification/v4/tcb?" + q.Encode(), []string{"TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain"}, nil
	case item.QEIdentity:
		return p.base() + "/" + it.TEE + "/certification/v4/qe/identity?" + q.Encode(), []string{"SGX-Enclave-Identity-Issuer-Chain"}, nil
	case item.PCKList:
		q.Set("ca", it.CA)
		q.Set("encoding", "der")
		return p.base() + pcsPath + "/pckcrl?" + q.Encode(), []string{"SGX-PCK-CRL-Issuer-Chain"}, nil
	case item.RootList:
		if p.isIntel() {
			return IntelRootList, nil, nil
		}
		return p.base() + pcsPath + "/rootcacrl", nil, nil
	case item.PCK:
		q.Set("encrypted_ppid", it.EncryptedPPID)
		q.Set("cpusvn", it.CPUSVN)
		q.Set("pcesvn", it.PCESVN)
		q.Set("pceid", it.PCEID)
		if !p.isIntel() {
			q.Set("qeid", it.QEID)
		}
		return p.base() + pcsPath + "/pckcert?" + q.Encode(), []string{"SGX-PCK-Certificate-Issuer-Chain"}, nil
	}
	return "", nil, notServed(p, it)
}

func (p *PCS) explain(it item.Item, err error) error {
	var s *StatusError
	if !errors.As(err, &s) {
		return err
	}
	none := func(why string) error { return &NotFoundError{it, fmt.Errorf("%w: %s", s, why)} }
	switch s.Status {
	case http.StatusNotFound:
		switch it.Kind {
		case item.TCBInfo:
			return none("no production platform has this FMSPC, or the caching service was not filled for it")
		case item.PCK:
			return none("the platform was never registered there at this level")
		}
		return none("a caching service has to be filled before it can answer")
	case http.StatusGone:
		return none("it no longer has this evaluation; ask for a newer one, or leave it out for the standard one")
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: it wants a subscription key or a token for the %v", err, it)
	case 461, 462: // codes of the caching service's own: unknown, or known and not in its cache
		return none("the caching service has nothing for this platform; register the platform there first")
	}
	return err
}

func (p *PCS) parts(it item.Item, r *reply, headers []string) (attest.Collateral, error) {
	var issuers []byte
	if len(headers) > 0 {
		var err error
		if issuers, err = issuerChain(r.header, headers); err != nil {
			return nil, err
		}
	}
	chain := attest.Evidence{MediaType: attest.MediaTypePEMChain, Value: issuers}
	switch it.Kind {
	case item.TCBInfo:
		return attest.Collateral{{MediaType: attest.MediaTypeIntelTCBInfo, Value: r.body}, chain}, nil
	case item.QEIdentity:
		return attest.Collateral{{MediaType: attest.MediaTypeIntelQEIdentity, Value: r.body}, chain}, nil
	case item.PCK:
		leaf := append(bytes.TrimRight(r.body, "\r\n"), '\n')
		return attest.Collateral{{MediaType: attest.MediaTypePEMChain, Value: append(leaf, issuers...)}}, nil
	}
	der, err := listDER(r.body)
	if err != nil {
		return nil, err
	}
	parts := attest.Collateral{{MediaType: attest.MediaTypeCRL, Value: der}}
	if it.Kind == item.PCKList {
		parts = append(parts, chain)
	}
	return parts, nil
}

// issuerChain reads the chain that the service puts, percent-encoded, into a
// header: certificates in PEM and nothing else.
func issuerChain(h http.Header, names []string) ([]byte, error) {
	for _, name := range names {
		values := h.Values(name)
		switch {
		case len(values) == 0:
			continue
		case len(values) > 1:
			return nil, fmt.Errorf("%d headers %s, expected one", len(values), name)
		case len(values[0]) > maxHeaders:
			return nil, fmt.Errorf("header %s of %d bytes, expected at most %d", name, len(values[0]), maxHeaders)
		}
		// A plus sign is one of base64's own and no space.
		text, err := url.PathUnescape(values[0])
		if err != nil {
			return nil, fmt.Errorf("header %s is not percent-encoded: %w", name, err)
		}
		if _, err := splitPEM([]byte(text)); err != nil {
			return nil, fmt.Errorf("header %s: %w", name, err)
		}
		return []byte(text), nil
	}
	return nil, fmt.Errorf("no header %s with the issuer chain", names[0])
}
