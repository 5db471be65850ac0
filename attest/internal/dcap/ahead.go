// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"slices"

	"github.com/enarx/enarx-go/attest/internal/parallel"
)

// An appraisal without a cache checks ten signatures, which take two thirds of
// its time. None needs another's result, so they are computed at the same time,
// before the rows ask for them: those of certificates, and if they are good, all
// others. The rows are made in their own order, by the
// rules of chain, lists and documents, and do not notice.

// signatures checks the signatures of one appraisal: those computed ahead, and
// the rest, through the cache, when asked.
type signatures struct {
	cache *Cache
	ahead []*computed
}

// computed is the result of one check of exactly these bytes.
type computed struct {
	key          *ecdsa.PublicKey
	form         form
	message, sig []byte
	good         bool
}

// maxAhead bounds what is computed ahead. A full set of collateral needs ten
// checks, and twelve with two generations of root and signer. More are made one
// by one, and only as long as all before them were good.
const maxAhead = 12

// verify checks an ECDSA P-256 signature over SHA-256 of message.
func (s *signatures) verify(key *ecdsa.PublicKey, f form, message, sig []byte) bool {
	for _, c := range s.ahead {
		if c.key == key && c.form == f && bytes.Equal(c.sig, sig) && bytes.Equal(c.message, message) {
			return c.good
		}
	}
	return s.cache.verify(key, f, message, sig)
}

// checkAhead computes the signatures that a good appraisal is going to ask for.
// Which of them count for anything, the rows decide.
func (a *Appraisal) checkAhead() {
	in, q, root := a.in, a.quote, a.p.Root.key
	if in.certErr != nil || len(in.certs.pcks) != 1 || root == nil {
		return // there is no chain and nothing will be asked for
	}
	w := &ahead{signatures: &a.signatures}
	for _, c := range in.certs.underRoot() {
		w.add(a.p.Cache, root, formDER, c.RawTBSCertificate, c.Signature)
	}
	pck := in.certs.pcks[0]
	issuers := in.certs.issuers(pck)
	for _, ca := range issuers {
		w.add(a.p.Cache, publicKey(ca), formDER, pck.RawTBSCertificate, pck.Signature)
	}
	if !w.do() {
		return // the chain is bad, and so nobody's key has signed the rest
	}
	if key := a.attestationKey(); key != nil {
		w.add(nil, key, formRaw, q.signed, q.signature)
	}
	w.add(a.p.Cache, publicKey(pck), formRaw, q.qeReport, q.qeSig)
	for _, ca := range issuers {
		for _, l := range in.crls {
			switch {
			case bytes.Equal(l.RawIssuer, ca.RawIssuer):
				w.add(a.p.Cache, root, formDER, l.RawTBSRevocationList, l.Signature)
			case bytes.Equal(l.RawIssuer, ca.RawSubject):
				w.add(a.p.Cache, publicKey(ca), formDER, l.RawTBSRevocationList, l.Signature)
			}
		}
	}
	w.addDocuments(a.p.Cache, in.certs.signers, in.identities, "enclaveIdentity")
	w.addDocuments(a.p.Cache, in.certs.signers, in.tcbInfos, "tcbInfo")
	w.do()
}

// ahead collects what is to be computed.
type ahead struct {
	*signatures
	tasks []func()
}

// do computes what was added and says whether everything so far is good.
func (w *ahead) do() bool {
	parallel.Do(w.tasks)
	w.tasks = nil
	return !slices.ContainsFunc(w.ahead, func(c *computed) bool { return !c.good })
}

func (w *ahead) add(cache *Cache, key *ecdsa.PublicKey, f form, message, sig []byte) {
	if len(w.ahead) == maxAhead {
		return
	}
	c := &computed{key: key, form: f, message: message, sig: sig}
	w.ahead = append(w.ahead, c)
	if work := cache.begin(c); work != nil {
		w.tasks = append(w.tasks, work)
	}
}

// addDocuments adds the check of each document by the first signer: which of
// several made it shows only when one has been found good.
func (w *ahead) addDocuments(cache *Cache, signers []*x509.Certificate, docs [][]byte, name string) {
	if len(signers) == 0 {
		return
	}
	for _, doc := range docs {
		if d, err := splitDocument(doc, name); err == nil {
			w.add(cache, publicKey(signers[0]), formRaw, d.body, d.signature[:])
		}
	}
}

// attestationKey is the key that signed the quote, or nil if it is none.
func (a *Appraisal) attestationKey() *ecdsa.PublicKey {
	if a.quoteKey == nil {
		a.quoteKey, _ = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, a.quote.key...))
	}
	return a.quoteKey
}

// quoteGood says whether the attestation key signed the quote. No cache is
// asked, and none learns of it: a quote is signed for one session.
func (a *Appraisal) quoteGood() bool {
	s := signatures{ahead: a.signatures.ahead}
	return s.verify(a.attestationKey(), formRaw, a.quote.signed, a.quote.signature)
}
