// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package vtpm_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/softtpm"
	"github.com/enarx/enarx-go/attest/internal/tpm"
	"github.com/enarx/enarx-go/attest/vtpm"
)

// The attacks of this file and its neighbours are on the first invariant: that
// evidence which proves less than it says never reads as verified. Each begins
// with a Keep that is accepted and changes one thing.

var be = binary.BigEndian

func sized(to, b []byte) []byte { return append(be.AppendUint16(to, uint16(len(b))), b...) }

// statement is a TPMS_ATTEST with everything in it that somebody may lie about.
type statement struct {
	magic     uint32
	typ       uint16
	signer    []byte
	extra     []byte
	selection []byte // TPML_PCR_SELECTION
	digest    []byte
}

// of is the statement that the TPM would make itself.
func of(t testing.TB, p *softtpm.TPM) statement {
	t.Helper()
	quote, _, err := p.Quote(nil)
	if err != nil {
		t.Fatal(err)
	}
	q, err := tpm.ParseQuote(quote)
	if err != nil {
		t.Fatal(err)
	}
	extra := sum(reportData[:])
	return statement{tpm.Magic, 0x8018, q.QualifiedSigner, extra[:], selection(bank{0x0b, all}), q.Digest}
}

type bank struct {
	alg  uint16
	pcrs []byte
}

var all = []byte{0xff, 0xff, 0xff}

func selection(banks ...bank) []byte {
	b := be.AppendUint32(nil, uint32(len(banks)))
	for _, x := range banks {
		b = append(be.AppendUint16(b, x.alg), byte(len(x.pcrs)))
		b = append(b, x.pcrs...)
	}
	return b
}

func (s statement) encode() []byte {
	b := be.AppendUint16(be.AppendUint32(nil, s.magic), s.typ)
	b = sized(sized(b, s.signer), s.extra)
	b = append(b, make([]byte, 8+4+4+1+8)...)
	return sized(append(b, s.selection...), s.digest)
}

// says makes evidence in which the TPM's own key signs another statement: what a
// TPM itself would never do, and so the most that a lie could have.
func says(t testing.TB, p *softtpm.TPM, change func(*statement)) *attest.TPMEvidence {
	t.Helper()
	e, err := p.Evidence(reportData)
	if err != nil {
		t.Fatal(err)
	}
	s := of(t, p)
	change(&s)
	e.Quote = s.encode()
	if e.Signature, err = p.Sign(e.Quote); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestStatementsOfTheAttacksAreGoodBeforeTheyAreChanged(t *testing.T) {
	m := newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	if _, v := m.judge(t, m.options(), p, encoded(t, says(t, p, func(*statement) {})), expected(p)); v.Err() != nil {
		t.Fatal(v.Err())
	}
}

// A key that can sign what somebody else has composed, or that is known outside
// its TPM, makes no quotes. No secret is sent for it either.
func TestInvariant1NoSilentDowngrade_AttributesOfTheAttestationKey(t *testing.T) {
	m := newMaker(t)
	log, qualifying := vector(t, "ovmf-uki.eventlog.bin"), sum(reportData[:])
	for name, x := range map[string]struct {
		attributes tpm.Attributes
		words      string
	}{
		"not restricted":      {softtpm.AttributesAK &^ tpm.Restricted, "without restricted"},
		"does not sign":       {softtpm.AttributesAK &^ tpm.Sign, "without sign"},
		"not fixedTPM":        {softtpm.AttributesAK &^ tpm.FixedTPM, "without fixedTPM"},
		"not fixedParent":     {softtpm.AttributesAK &^ tpm.FixedParent, "without fixedParent"},
		"imported":            {softtpm.AttributesAK &^ tpm.SensitiveDataOrigin, "without sensitiveDataOrigin"},
		"decrypts as well":    {softtpm.AttributesAK | tpm.Decrypt, "decrypts"},
		"loaded from outside": {tpm.UserWithAuth | tpm.Sign, "without fixedTPM, fixedParent, sensitiveDataOrigin, restricted"},
		"an endorsement key":  {softtpm.AttributesEK, "without sign"},
		"nothing at all":      {0, "without fixedTPM"},
		"a reserved bit":      {softtpm.AttributesAK | 1, ""},
		"every reserved bit":  {softtpm.AttributesAK | 0xfff0f309, ""},
		"storage and signing": {softtpm.AttributesEK | tpm.Sign, "decrypts"},
	} {
		p := m.booted(t, log)
		var err error
		if p.AKPublic, err = softtpm.Public(&p.AK.PublicKey, x.attributes); err != nil {
			t.Fatal(err)
		}
		e, err := m.booted(t, log).Evidence(reportData)
		if err != nil {
			t.Fatal(err)
		}
		e.AK = p.AKPublic
		if quote, sig, err := p.Quote(qualifying[:]); err == nil {
			e.Quote, e.Signature = quote, sig // else the key's structure cannot even be read
		}
		ev := encoded(t, e)
		s := vtpm.NewSession(m.options(), m.collateral(), madeAt, rand.Reader)
		if challenge, done, err := s.Next(ev); !done || err != nil || len(challenge.Value) != 0 {
			t.Errorf("%s: a credential is made for such a key: %v, %v", name, done, err)
		}
		c, v := s.Verify(ev, m.collateral(), expected(p), madeAt)
		if x.words == "" {
			refused(t, name, c, v, "format", attest.ReasonFormat, "reserved attributes")
		} else {
			refused(t, name, c, v, "attestation-key", attest.ReasonKey, x.words)
		}
		if outcome(v, "activation") == attest.Pass {
			t.Errorf("%s: activated", name)
		}
	}
}

// public is a TPMT_PUBLIC of an ECC key on P-256 as one likes it.
func public(p *softtpm.TPM, nameAlg, scheme, hash uint16) []byte {
	raw, _ := p.AK.PublicKey.Bytes()
	b := be.AppendUint16(be.AppendUint16(nil, uint16(tpm.AlgECC)), nameAlg)
	b = sized(be.AppendUint32(b, uint32(softtpm.AttributesAK)), nil)
	b = be.AppendUint16(be.AppendUint16(b, uint16(tpm.AlgNull)), scheme)
	if scheme != uint16(tpm.AlgNull) {
		b = be.AppendUint16(b, hash)
	}
	b = be.AppendUint16(be.AppendUint16(b, 3), uint16(tpm.AlgNull))
	return sized(sized(b, raw[1:33]), raw[33:65])
}

// SHA-1 is good for nothing: not for the key's name, not for what it is bound to
// sign with, not for the signature, not for the bank of the PCRs.
func TestInvariant1NoSilentDowngrade_SHA1(t *testing.T) {
	const sha1, sha256, ecdsa = uint16(tpm.AlgSHA1), uint16(tpm.AlgSHA256), uint16(tpm.AlgECDSA)
	m := newMaker(t)
	for name, x := range map[string]struct {
		ev     func(*softtpm.TPM) *attest.TPMEvidence
		check  string
		reason attest.Reason
		words  string
	}{
		"name of the key": {func(p *softtpm.TPM) *attest.TPMEvidence {
			e := says(t, p, func(*statement) {})
			e.AK = public(p, sha1, ecdsa, sha256)
			return e
		}, "attestation-key", attest.ReasonKey, "name algorithm: SHA-1"},
		"hash that the key is bound to": {func(p *softtpm.TPM) *attest.TPMEvidence {
			e := says(t, p, func(*statement) {})
			e.AK = public(p, sha256, ecdsa, sha1)
			return e
		}, "attestation-key", attest.ReasonKey, "hash of the scheme: SHA-1"},
		"key bound to nothing": {func(p *softtpm.TPM) *attest.TPMEvidence {
			e := says(t, p, func(*statement) {})
			e.AK = public(p, sha256, uint16(tpm.AlgNull), 0)
			return e
		}, "attestation-key", attest.ReasonKey, "no scheme"},
		"hash of the signature": {func(p *softtpm.TPM) *attest.TPMEvidence {
			e := says(t, p, func(*statement) {})
			be.PutUint16(e.Signature[2:], sha1)
			return e
		}, "signature", attest.ReasonSignature, "SHA-1"},
		"another hash than the key is bound to": {func(p *softtpm.TPM) *attest.TPMEvidence {
			e := says(t, p, func(*statement) {})
			be.PutUint16(e.Signature[2:], uint16(tpm.AlgSHA384))
			return e
		}, "signature", attest.ReasonSignature, "does not verify"},
		"bank of the quote": {func(p *softtpm.TPM) *attest.TPMEvidence {
			return says(t, p, func(s *statement) { s.selection = selection(bank{sha1, all}) })
		}, "pcrs", attest.ReasonSignature, "not of all PCRs"},
		"bank beside it": {func(p *softtpm.TPM) *attest.TPMEvidence {
			return says(t, p, func(s *statement) { s.selection = selection(bank{sha256, all}, bank{sha1, all}) })
		}, "pcrs", attest.ReasonSignature, "2 banks"},
		"bank before it, empty": {func(p *softtpm.TPM) *attest.TPMEvidence {
			return says(t, p, func(s *statement) { s.selection = selection(bank{sha1, []byte{0, 0, 0}}, bank{sha256, all}) })
		}, "pcrs", attest.ReasonSignature, "2 banks"},
	} {
		p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
		ev := encoded(t, x.ev(p))
		c, v := vtpm.New(m.options()).Verify(ev, m.collateral(), expected(p), madeAt)
		refused(t, name, c, v, x.check, x.reason, x.words)
	}
}

// What a TPM signs says of itself what it is. Only a quote is taken for one, and
// nothing that begins otherwise: a restricted key signs such things for anybody.
func TestInvariant1NoSilentDowngrade_OtherStatements(t *testing.T) {
	m := newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	judge := func(name, words string, change func(*statement)) {
		t.Helper()
		c, v := vtpm.New(m.options()).Verify(encoded(t, says(t, p, change)), m.collateral(), expected(p), madeAt)
		refused(t, name, c, v, "format", attest.ReasonFormat, words)
	}
	for bit := range 32 {
		judge(fmt.Sprintf("bit %d of the magic", bit), "not a statement of a TPM", func(s *statement) { s.magic ^= 1 << bit })
	}
	judge("no magic", "not a statement of a TPM", func(s *statement) { s.magic = 0 })
	for _, typ := range []uint16{0x8014, 0x8015, 0x8016, 0x8017, 0x8019, 0x801a, 0x801c, 0, 0xffff} {
		judge(fmt.Sprintf("type %#x", typ), "expected 0x8018 (a quote)", func(s *statement) { s.typ = typ })
	}
}

// A quote speaks of all PCRs of the one bank, in order.
func TestInvariant1NoSilentDowngrade_SelectionOfPCRs(t *testing.T) {
	m := newMaker(t)
	p := m.booted(t, vector(t, "ovmf-uki.eventlog.bin"))
	judge := func(name, check string, reason attest.Reason, words string, e *attest.TPMEvidence) {
		t.Helper()
		c, v := vtpm.New(m.options()).Verify(encoded(t, e), m.collateral(), expected(p), madeAt)
		refused(t, name, c, v, check, reason, words)
	}
	with := func(sel []byte) *attest.TPMEvidence {
		return says(t, p, func(s *statement) { s.selection = sel })
	}
	for i := range attest.TPMPCRs {
		pcrs := slices.Clone(all)
		pcrs[i/8] &^= 1 << (i % 8)
		// The digest is of what is selected, as a TPM would have it.
		h := sha256.New()
		for j, v := range p.PCRs {
			if j != i {
				h.Write(v[:])
			}
		}
		e := says(t, p, func(s *statement) { s.selection, s.digest = selection(bank{0x0b, pcrs}), h.Sum(nil) })
		judge(fmt.Sprintf("without PCR %d", i), "pcrs", attest.ReasonSignature, "not of all PCRs", e)
	}
	judge("two bytes", "pcrs", attest.ReasonSignature, "not of all PCRs", with(selection(bank{0x0b, all[:2]})))
	judge("no PCR", "pcrs", attest.ReasonSignature, "not of all PCRs", with(selection(bank{0x0b, []byte{0}})))
	judge("another bank", "pcrs", attest.ReasonSignature, "not of all PCRs", with(selection(bank{0x0c, all})))
	judge("a second bank", "pcrs", attest.ReasonSignature, "2 banks", with(selection(bank{0x0b, all}, bank{0x0c, all})))
	judge("the bank twice", "format", attest.ReasonFormat, "selected twice", with(selection(bank{0x0b, all}, bank{0x0b, all})))
	judge("no bank", "format", attest.ReasonFormat, "0 PCR banks", with(selection()))
	judge("four bytes", "format", attest.ReasonFormat, "selection of 4 bytes", with(selection(bank{0x0b, []byte{0xff, 0xff, 0xff, 0xff}})))
	judge("no bytes", "format", attest.ReasonFormat, "selection of 0 bytes", with(selection(bank{0x0b, nil})))
	judge("nine banks", "format", attest.ReasonFormat, "9 PCR banks", with(selection(slices.Repeat([]bank{{0x0b, all}}, 9)...)))

	// The digest is over the values in order: two that change places are found,
	// whether the quote or the evidence has them so.
	backwards := sha256.New()
	for i := range p.PCRs {
		backwards.Write(p.PCRs[len(p.PCRs)-1-i][:])
	}
	judge("a digest from behind", "pcrs", attest.ReasonSignature, "not those that were quoted", says(t, p, func(s *statement) { s.digest = backwards.Sum(nil) }))
	swapped := says(t, p, func(*statement) {})
	swapped.PCRs[4], swapped.PCRs[9] = swapped.PCRs[9], swapped.PCRs[4]
	judge("two values change places", "pcrs", attest.ReasonSignature, "not those that were quoted", swapped)
	judge("no digest", "pcrs", attest.ReasonSignature, "not those that were quoted", says(t, p, func(s *statement) { s.digest = nil }))
}

// What was extended after the boot shows, whichever register it is; so does a
// register that the Keep itself ought to have extended once.
func TestInvariant1NoSilentDowngrade_EveryRegisterCounts(t *testing.T) {
	m := newMaker(t)
	log := vector(t, "ovmf-uki.eventlog.bin")
	check := func(i int) string {
		switch {
		case i == attest.PCRStart:
			return "host-data"
		case i == attest.PCRClaim:
			return "claim"
		case i == 10 || i >= 16:
			return "registers"
		}
		return "event-log"
	}
	good := m.booted(t, log)
	exp := expected(good)
	for i := range attest.TPMPCRs {
		for name, change := range map[string]func(*softtpm.TPM){
			"extended":       func(p *softtpm.TPM) { p.Extend(i, sum([]byte("later"))) },
			"extended by 0s": func(p *softtpm.TPM) { p.Extend(i, [32]byte{}) },
			"put back to 0":  func(p *softtpm.TPM) { p.PCRs[i] = [32]byte{} },
			"put to 1s":      func(p *softtpm.TPM) { p.PCRs[i] = [32]byte(slices.Repeat([]byte{0xff}, 32)) },
			"to locality 4":  func(p *softtpm.TPM) { p.PCRs[i] = [32]byte{31: 4} },
		} {
			p := m.booted(t, log)
			change(p)
			reset := i >= 17 && i <= 22 && strings.HasPrefix(name, "put")
			c, v := m.judge(t, m.options(), p, evidenceOf(t, p), exp)
			if p.PCRs == good.PCRs || reset {
				if c == nil {
					t.Errorf("PCR %d %s, as after a reset: %v", i, name, v.Err())
				}
				continue
			}
			if c != nil || outcome(v, check(i)) != attest.Fail {
				t.Errorf("PCR %d %s: row %s reads %q: %v", i, name, check(i), outcome(v, check(i)), v.Err())
			}
		}
	}
}

// A start configuration or a claim counts as told once, by this event alone.
func TestInvariant1NoSilentDowngrade_StartAndClaim(t *testing.T) {
	m := newMaker(t)
	log := vector(t, "ovmf-uki.eventlog.bin")
	owner, key := [32]byte{1}, []byte("channel key")
	event := attest.ClaimEvent(owner, key)
	zero := [32]byte{}
	for name, x := range map[string]struct {
		change func(*softtpm.TPM)
		claim  []byte
		check  string // the row that leads; empty if it is good
	}{
		"never claimed":                  {func(*softtpm.TPM) {}, nil, ""},
		"claimed":                        {func(p *softtpm.TPM) { p.Extend(15, sum(event)) }, event, ""},
		"claimed, where it must not be":  {func(p *softtpm.TPM) { p.Extend(15, sum(event)) }, nil, "claim"},
		"not claimed, where it must be":  {func(*softtpm.TPM) {}, event, "claim"},
		"claimed twice":                  {func(p *softtpm.TPM) { p.Extend(15, sum(event)); p.Extend(15, sum(event)) }, event, "claim"},
		"claimed by another":             {func(p *softtpm.TPM) { p.Extend(15, sum(attest.ClaimEvent([32]byte{2}, key))) }, event, "claim"},
		"claimed for another key":        {func(p *softtpm.TPM) { p.Extend(15, sum(attest.ClaimEvent(owner, []byte("other")))) }, event, "claim"},
		"claimed with the event itself":  {func(p *softtpm.TPM) { p.PCRs[15] = sum(event) }, event, "claim"},
		"claim beside the start":         {func(p *softtpm.TPM) { p.Extend(14, sum(event)) }, event, "host-data"},
		"start in place of the claim":    {func(p *softtpm.TPM) { p.Extend(15, sum(attest.StartEvent(hostData))) }, event, "claim"},
		"the registers change places":    {func(p *softtpm.TPM) { p.PCRs[14], p.PCRs[15] = p.PCRs[15], p.PCRs[14] }, nil, "host-data"},
		"never started":                  {func(p *softtpm.TPM) { p.PCRs[14] = zero }, nil, "host-data"},
		"started twice":                  {func(p *softtpm.TPM) { p.Extend(14, sum(attest.StartEvent(hostData))) }, nil, "host-data"},
		"started with the digest itself": {func(p *softtpm.TPM) { p.PCRs[14] = zero; p.Extend(14, hostData) }, nil, "host-data"},
		"started, then claimed there":    {func(p *softtpm.TPM) { p.Extend(14, sum(event)); p.Extend(15, sum(event)) }, event, "host-data"},
	} {
		p := m.booted(t, log)
		exp := expected(p)
		x.change(p)
		exp.Claim = &attest.ClaimState{Event: x.claim}
		c, v := m.judge(t, m.options(), p, evidenceOf(t, p), exp)
		if x.check == "" {
			if c == nil {
				t.Errorf("%s: %v", name, v.Err())
			}
			continue
		}
		if c != nil || outcome(v, x.check) != attest.Fail {
			t.Errorf("%s: row %s reads %q: %v", name, x.check, outcome(v, x.check), v.Err())
		}
	}
}
