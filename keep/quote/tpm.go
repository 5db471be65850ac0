// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/google/go-tpm/tpm2"

	"github.com/enarx/enarx-go/attest"
)

// TPM is the evidence source of platform vtpm. It is made with [NewTPM].
//
// The attestation key is a restricted signing key that is made in the TPM for
// this Keep and dies with it. Restricted means that the TPM signs with it only
// what the TPM itself has composed: a quote of its PCRs, never bytes of anybody's
// choice. What of a quote this side chooses is the qualifying data, which is
// the SHA-256 digest of report data that a [Batcher] made.
//
// The TPM is the host's, and so are its answers: a wrong one makes an error
// here or evidence that no verifier accepts.
type TPM struct {
	// Hints, if not nil, gives the certificates that the host stapled: the
	// issuers of the endorsement certificate, which no TPM needs to hold.
	Hints func(ctx context.Context) attest.Collateral

	mu       sync.Mutex // one command sequence at a time
	t        *transport
	ak       key
	eks      []endorsement
	eventLog []byte
}

// key is a key in the TPM.
type key struct {
	handle tpm2.TPMHandle
	public []byte // TPMT_PUBLIC
	name   tpm2.TPM2BName
}

func (k key) auth(s tpm2.Session) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: k.handle, Name: k.name, Auth: s}
}

// pcrs is the selection of every evidence: SHA-256, PCRs 0 to 23.
var pcrs = tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
	{Hash: tpm2.TPMAlgSHA256, PCRSelect: []byte{0xff, 0xff, 0xff}},
}}

const pcrCount = attest.TPMPCRs

// NewTPM takes over the TPM behind rw and the firmware's event log, which may
// be nil. It makes the attestation key and looks for endorsement keys that have
// a certificate. An error names the step that failed.
func NewTPM(ctx context.Context, rw io.ReadWriter, eventLog io.Reader) (src *TPM, err error) {
	defer survive(&err)
	if rw == nil {
		return nil, errors.New("tpm: the machine has none; start the Keep with a TPM 2.0")
	}
	t := &TPM{t: &transport{rw: rw}}
	if eventLog != nil {
		if t.eventLog, err = io.ReadAll(io.LimitReader(eventLog, attest.MaxTPMEventLog+1)); err != nil {
			return nil, fmt.Errorf("tpm: read the firmware's event log: %w", err)
		}
		if len(t.eventLog) > attest.MaxTPMEventLog {
			return nil, fmt.Errorf("tpm: the firmware's event log is longer than %d bytes", attest.MaxTPMEventLog)
		}
	}
	err = t.t.during(ctx, func() error {
		if t.ak, err = t.makeAK(); err != nil {
			return err
		}
		return t.findEndorsements()
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Close removes the Keep's keys from the TPM.
func (t *TPM) Close() (err error) {
	defer survive(&err)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.t.during(context.Background(), func() error {
		err := t.flush(t.ak)
		for _, ek := range t.eks {
			err = errors.Join(err, t.flush(ek.key))
		}
		t.eks = nil
		return err
	})
}

// flush removes k from the TPM's working memory; persistent keys stay.
func (t *TPM) flush(k key) error {
	if k.handle>>24 != tpm2HandleTransient {
		return nil
	}
	if _, err := (tpm2.FlushContext{FlushHandle: k.handle}).Execute(t.t); err != nil {
		return fmt.Errorf("tpm: flush key %#x: %w", k.handle, err)
	}
	return nil
}

// Quote makes evidence over reportData: a quote of all PCRs whose qualifying
// data is SHA-256(reportData), and the PCRs' values as the quote has them.
func (t *TPM) Quote(ctx context.Context, reportData [64]byte) (ev attest.Evidence, col attest.Collateral, err error) {
	defer survive(&err)
	var hints attest.Collateral
	if t.Hints != nil {
		hints = t.Hints(ctx)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var q quoted
	err = t.t.during(ctx, func() error {
		q, err = t.quote(sha256.Sum256(reportData[:]))
		return err
	})
	if err != nil {
		return attest.Evidence{}, nil, err
	}
	e := attest.TPMEvidence{AK: t.ak.public, Quote: q.attest, Signature: q.signature, PCRs: q.pcrs, EventLog: t.eventLog}
	for _, ek := range t.eks {
		e.Endorsements = append(e.Endorsements, attest.TPMEndorsement{Certificate: ek.certificate, Public: ek.public})
	}
	v, err := e.Encode()
	if err != nil {
		return attest.Evidence{}, nil, fmt.Errorf("tpm: %w", err)
	}
	return attest.Evidence{MediaType: attest.MediaTypeTPM, Value: v}, hints, nil
}

// quoted is what the TPM signed, with what the signature covers.
type quoted struct {
	attest    []byte // TPMS_ATTEST
	signature []byte // TPMT_SIGNATURE
	pcrs      [pcrCount][32]byte
}

// quote quotes all PCRs and reads them. The quote holds a digest of their
// values only, so both must be of one moment.
func (t *TPM) quote(qualifying [32]byte) (quoted, error) {
	for range quoteTries {
		r, err := tpm2.Quote{
			SignHandle:     t.ak.auth(tpm2.PasswordAuth(nil)),
			QualifyingData: tpm2.TPM2BData{Buffer: qualifying[:]},
			InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
			PCRSelect:      pcrs,
		}.Execute(t.t)
		if err != nil {
			return quoted{}, fmt.Errorf("tpm: quote: %w", err)
		}
		a, err := r.Quoted.Contents()
		if err != nil {
			return quoted{}, fmt.Errorf("tpm: quote: what was signed is no TPMS_ATTEST: %w", err)
		}
		info, err := a.Attested.Quote()
		if err != nil {
			return quoted{}, fmt.Errorf("tpm: quote: what was signed is no quote: %w", err)
		}
		if !bytes.Equal(a.ExtraData.Buffer, qualifying[:]) {
			return quoted{}, fmt.Errorf("tpm: quote: qualifying data %x, expected %x", a.ExtraData.Buffer, qualifying)
		}
		q := quoted{attest: r.Quoted.Bytes(), signature: tpm2.Marshal(r.Signature)}
		if q.pcrs, err = t.readPCRs(); err != nil {
			return quoted{}, err
		}
		h := sha256.New()
		for _, v := range q.pcrs {
			h.Write(v[:])
		}
		if bytes.Equal(h.Sum(nil), info.PCRDigest.Buffer) {
			return q, nil
		}
	}
	return quoted{}, fmt.Errorf("tpm: quote: the PCRs read are not the PCRs quoted, %d times in a row: something extends them all the time", quoteTries)
}

// readPCRs reads all PCRs. A TPM gives eight at most at a time, and fewer if
// it likes.
func (t *TPM) readPCRs() (values [pcrCount][32]byte, err error) {
	for next := 0; next < pcrCount; {
		var sel [3]byte
		for i := next; i < min(next+8, pcrCount); i++ {
			sel[i/8] |= 1 << (i % 8)
		}
		r, err := tpm2.PCRRead{PCRSelectionIn: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
			{Hash: tpm2.TPMAlgSHA256, PCRSelect: sel[:]},
		}}}.Execute(t.t)
		if err != nil {
			return values, fmt.Errorf("tpm: read PCRs from %d on: %w", next, err)
		}
		out := r.PCRSelectionOut.PCRSelections
		if len(out) != 1 || out[0].Hash != tpm2.TPMAlgSHA256 || len(r.PCRValues.Digests) == 0 {
			return values, fmt.Errorf("tpm: read PCRs from %d on: the TPM has no SHA-256 bank; start it with one (swtpm_setup --pcr-banks sha256)", next)
		}
		for i, d := range r.PCRValues.Digests {
			n := next + i
			if n >= pcrCount || n/8 >= len(out[0].PCRSelect) || out[0].PCRSelect[n/8]>>(n%8)&1 == 0 || len(d.Buffer) != 32 {
				return values, fmt.Errorf("tpm: read PCRs from %d on: selection %x with %d values, expected consecutive ones of 32 bytes", next, out[0].PCRSelect, len(r.PCRValues.Digests))
			}
			copy(values[n][:], d.Buffer)
		}
		next += len(r.PCRValues.Digests)
	}
	return values, nil
}

// Start extends attest.PCRStart with event. Both of the Keep's registers must
// be untouched: nothing else that this image boots uses them, and a verifier
// would refuse the Keep later with less to say.
func (t *TPM) Start(ctx context.Context, event []byte) (err error) {
	defer survive(&err)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.t.during(ctx, func() error {
		values, err := t.readPCRs()
		if err != nil {
			return err
		}
		for _, n := range []int{attest.PCRStart, attest.PCRClaim} {
			if values[n] != ([32]byte{}) {
				return fmt.Errorf("tpm: PCR %d is %x before the Keep has used it, expected zeros: another program of this boot extended it, or the TPM was not reset with the machine", n, values[n])
			}
		}
		return t.extend(attest.PCRStart, event)
	})
}

// Claim extends attest.PCRClaim with event.
func (t *TPM) Claim(ctx context.Context, event []byte) (err error) {
	defer survive(&err)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.t.during(ctx, func() error { return t.extend(attest.PCRClaim, event) })
}

// extend extends a PCR with the digest of event and checks that it shows.
func (t *TPM) extend(pcr int, event []byte) error {
	before, err := t.readPCRs()
	if err != nil {
		return err
	}
	digest := sha256.Sum256(event)
	_, err = tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)},
		Digests: tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{
			{HashAlg: tpm2.TPMAlgSHA256, Digest: digest[:]},
		}},
	}.Execute(t.t)
	if err != nil {
		return fmt.Errorf("tpm: extend PCR %d: %w", pcr, err)
	}
	after, err := t.readPCRs()
	if err != nil {
		return err
	}
	want := sha256.Sum256(append(before[pcr][:], digest[:]...))
	if after[pcr] != want {
		return fmt.Errorf("tpm: extend PCR %d: it is %x afterwards, expected %x", pcr, after[pcr], want)
	}
	return nil
}

// survive turns a panic of the TPM library over an answer of the host's TPM
// into an error: hostile bytes must not end the Keep without a word.
func survive(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("tpm: an answer of the TPM cannot be read: %v", r)
	}
}
