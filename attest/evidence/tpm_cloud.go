// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
	"github.com/enarx/enarx-go/attest/internal/tpm"
)

// akName is the attestation key among the keys in the runtime data.
const akName = "HCLAkPub"

// attestationKey reads the virtual TPM's attestation key out of the runtime
// data: a JSON Web Key (RFC 7517) of RSA in the member "keys".
func (h *hcl) attestationKey() (crypto.PublicKey, error) {
	o, err := parseObject(h.runtime)
	if err != nil {
		return nil, err
	}
	list, err := o.list("keys", 16)
	if err != nil {
		return nil, err
	}
	var key crypto.PublicKey
	for _, raw := range list {
		k, err := parseObject(raw)
		if err != nil {
			return nil, err
		}
		if id, err := k.str("kid"); err != nil || id != akName {
			continue
		}
		if key != nil {
			return nil, fmt.Errorf("two keys %q", akName)
		}
		if key, err = rsaJWK(k); err != nil {
			return nil, fmt.Errorf("key %q: %w", akName, err)
		}
	}
	if key == nil {
		return nil, fmt.Errorf("no key %q", akName)
	}
	return key, nil
}

func rsaJWK(k object) (crypto.PublicKey, error) {
	number := func(key string) (*big.Int, error) {
		s, err := k.str(key)
		if err != nil {
			return nil, err
		}
		b, err := base64.RawURLEncoding.Strict().DecodeString(s)
		if err != nil || len(b) > 512 {
			return nil, fmt.Errorf("%q is no number of at most 4,096 bits in base64url", key)
		}
		return new(big.Int).SetBytes(b), nil
	}
	if kty, err := k.str("kty"); err != nil || kty != "RSA" {
		return nil, fmt.Errorf("no RSA key")
	}
	n, err := number("n")
	if err != nil {
		return nil, err
	}
	e, err := number("e")
	if err != nil {
		return nil, err
	}
	if n.BitLen() < 2048 || e.Cmp(big.NewInt(65537)) != 0 {
		return nil, fmt.Errorf("RSA key of %d bits with exponent %v, expected 2048 or more and 65537", n.BitLen(), e)
	}
	return &rsa.PublicKey{N: n, E: 65537}, nil
}

// azureTPM adds the quote of Azure's virtual TPM, whose key the runtime data
// of the HCL report name; the evidence in the piece before is bound to those.
func (f *Found) azureTPM(format string, o object, key string, h *hcl) error {
	if !o.has(key) {
		return nil
	}
	q, err := o.object(key)
	if err != nil {
		return malformed(format, "%w", err)
	}
	if len(q) == 0 {
		f.notRead(fmt.Sprintf("%q", key), "a quote: it is empty")
		return nil
	}
	var p tpmParts
	ak, err := h.attestationKey()
	if err == nil {
		err = p.setKey(ak)
	}
	if err != nil {
		return malformed(format, "runtime data of the HCL report: %w", err)
	}
	if p.Quote, err = q.bytesOrNumbers("message"); err != nil {
		return malformed(format, "%q: %w", key, err)
	}
	signature, err := q.bytesOrNumbers("signature")
	if err == nil {
		err = p.setRSASSA(signature)
	}
	if err != nil {
		return malformed(format, "%q: %w", key, err)
	}
	pcrs, err := q.registers("pcrs")
	if err == nil {
		err = p.setPCRs(pcrs)
	}
	if err != nil {
		return malformed(format, "%q: %w", key, err)
	}
	if rest := q.except("message", "signature", "pcrs"); rest != "" {
		f.notRead(rest+fmt.Sprintf(" of %q", key), "nothing: these members are not part of the quote")
	}
	piece, err := p.piece(fmt.Sprintf("%q", key))
	if err != nil {
		return malformed(format, "%q: %w", key, err)
	}
	f.vouched(0, ak, akName+" in the runtime data, to which the report data of the first piece are bound", piece)
	return nil
}

// bytesOrNumbers gives a member that is bytes as text, or as numbers.
func (o object) bytesOrNumbers(key string) ([]byte, error) {
	if v := o[key]; len(v) > 0 && v[0] == '[' {
		return o.numbers(key, -1)
	}
	return o.bytes(key)
}

// registers gives a member that is an array of registers, in order.
func (o object) registers(key string) (map[uint64][]byte, error) {
	list, err := o.list(key, tpm.PCRs)
	if err != nil {
		return nil, err
	}
	pcrs := map[uint64][]byte{}
	for i, raw := range list {
		if pcrs[uint64(i)], err = (object{key: raw}).bytesOrNumbers(key); err != nil {
			return nil, err
		}
	}
	return pcrs, nil
}

// findVaporTPM takes what lockboot/vaportpm gives: a TPM quote, with
// certificates of its key (Google), or beside the Nitro document of the same
// NitroTPM, which names key and registers (AWS).
func findVaporTPM(o object, depth int) (*Found, error) {
	fail := func(err error) (*Found, error) { return nil, malformed(formatVaporTPM, "%w", err) }
	att, err := o.object("attestation")
	if err != nil {
		return fail(err)
	}
	p, bank, err := vaporQuote(o, att)
	if err != nil {
		return fail(err)
	}
	if att.has("gcp") {
		gcp, err := att.object("gcp")
		if err != nil {
			return fail(err)
		}
		chain, err := gcp.str("ak_cert_chain")
		if err == nil {
			p.certs, err = certificates([]byte(chain))
		}
		if err != nil {
			return fail(err)
		}
	}
	piece, err := p.piece(`"attestation.tpm"`)
	if err != nil {
		return fail(err)
	}
	f := &Found{Format: formatVaporTPM}
	if !att.has("nitro") {
		f.Pieces = append(f.Pieces, piece)
	} else if err := f.vaporNitro(att, piece, p, depth); err != nil {
		return nil, err
	}
	pcrs, _ := o.object("pcrs")
	if rest := pcrs.except(bank); rest != "" {
		f.notRead("registers of "+rest, "nothing: the quote is of bank "+bank)
	}
	f.leftOver(att, "nitro", "tpm", "gcp")
	f.leftOver(o, "attestation", "pcrs", "ak_pubkeys", "nonce")
	return f, nil
}

// vaporQuote reads the quote by the key ecc_p256, the one kind that there is.
func vaporQuote(o, att object) (p *tpmParts, bank string, err error) {
	const kind = "ecc_p256"
	p = &tpmParts{}
	objects := func(o object, path ...string) (object, error) {
		for _, key := range path {
			if o, err = o.object(key); err != nil {
				return nil, err
			}
		}
		return o, nil
	}
	key, err := objects(o, "ak_pubkeys", kind)
	if err != nil {
		return nil, "", err
	}
	if err := p.setPoint(key); err != nil {
		return nil, "", err
	}
	quote, err := objects(att, "tpm", kind)
	if err != nil {
		return nil, "", err
	}
	if p.Quote, err = quote.bytes("attest_data"); err != nil {
		return nil, "", err
	}
	signature, err := quote.bytes("signature")
	if err == nil {
		err = p.setECDSA(signature)
	}
	if err != nil {
		return nil, "", err
	}
	banks, err := o.object("pcrs")
	if err != nil {
		return nil, "", err
	}
	for _, bank = range []string{"sha256", "sha384"} {
		if banks.has(bank) {
			break
		}
	}
	values, err := banks.object(bank)
	if err != nil {
		return nil, "", err
	}
	pcrs := map[uint64][]byte{}
	for i := range uint64(tpm.PCRs) {
		if pcrs[i], err = values.bytes(fmt.Sprint(i)); err != nil {
			return nil, "", err
		}
	}
	return p, bank, p.setPCRs(pcrs)
}

// setPoint takes a key of P-256 by its coordinates.
func (p *tpmParts) setPoint(o object) error {
	x, err := o.bytes("x")
	if err != nil {
		return err
	}
	y, err := o.bytes("y")
	if err != nil {
		return err
	}
	if len(x) != 32 || len(y) != 32 {
		return fmt.Errorf("coordinates of %d and %d bytes, expected 32", len(x), len(y))
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return fmt.Errorf("not a point on P-256")
	}
	return p.setKey(key)
}

// vaporNitro adds the document and then the quote that it vouches for.
func (f *Found) vaporNitro(att object, quote Piece, p *tpmParts, depth int) error {
	nitro, err := att.object("nitro")
	if err != nil {
		return malformed(formatVaporTPM, "%w", err)
	}
	b, err := nitro.bytes("document")
	if err != nil {
		return malformed(formatVaporTPM, "%w", err)
	}
	g, err := inner(formatVaporTPM, "attestation.nitro.document", b, depth)
	if err != nil {
		return err
	}
	f.add(g)
	if len(g.Pieces) != 1 || g.Pieces[0].Evidence.MediaType != attest.MediaTypeNitro {
		return malformed(formatVaporTPM, `"attestation.nitro.document" is no document`)
	}
	// The document is the piece, not what it lay in: whatever it is wrapped in
	// beyond this JSON, this very document is what vouches.
	doc, err := nitrodoc.Parse(f.Pieces[0].Evidence.Value)
	if err != nil {
		// Nothing is known that would vouch; the document's own rows say why.
		f.Pieces = append(f.Pieces, quote)
		return nil
	}
	if doc.Kind != nitrodoc.TPM {
		return malformed(formatVaporTPM, "a document of %v beside the quote of a TPM", doc.Kind)
	}
	ak, err := documentKey(doc.PublicKey)
	if err != nil {
		return malformed(formatVaporTPM, "member public_key of the document: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(ak)
	if err != nil {
		return malformed(formatVaporTPM, "%w", err) // unreachable: made here
	}
	const todo = "quote and document are of different machines or times; do not use them"
	key := bytes.Equal(p.Key, der)
	f.check(key, "tpm-key", seenKey(key), "the key in the member public_key of the document", "the Nitro document", todo)
	same, why := sameRegisters(doc, p)
	f.check(same, "tpm-registers", why, "those in the document", "the Nitro document", todo)
	f.vouched(0, ak, "the member public_key of the Nitro document, into which the instance put it, with the registers that the hypervisor signed", quote)
	return nil
}

// documentKey reads the key that an instance put into a document: a point on
// P-256, uncompressed, or the key in DER that ends in it.
func documentKey(b []byte) (crypto.PublicKey, error) {
	if len(b) == pointSize {
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), b)
	}
	k, err := x509.ParsePKIXPublicKey(b)
	if err != nil {
		return nil, fmt.Errorf("no point on P-256 and no key in DER, %d bytes", len(b))
	}
	if e, ok := k.(*ecdsa.PublicKey); ok && e.Curve == elliptic.P256() {
		return e, nil
	}
	return nil, fmt.Errorf("no key on P-256")
}

// pointSize is the size of a point of P-256, uncompressed.
const pointSize = 65

func seenKey(same bool) string {
	if same {
		return "the attestation key of the quote"
	}
	return "another key than the attestation key of the quote"
}

// sameRegisters holds the registers of the quote against those that the
// hypervisor says its TPM has.
func sameRegisters(doc *nitrodoc.Document, p *tpmParts) (bool, string) {
	if tpm.Alg(p.Bank) != tpm.AlgSHA384 {
		return false, fmt.Sprintf("registers of bank %v", tpm.Alg(p.Bank))
	}
	for i := range uint(tpm.PCRs) {
		if !bytes.Equal(doc.PCRs[i], p.PCRs[48*i:48*(i+1)]) {
			return false, fmt.Sprintf("PCR %d is another", i)
		}
	}
	return true, "24 registers, all the same"
}
