// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/fault"
)

// signedBody gives the body of a document and which of the TCB signers signed
// it. To find out which costs a check for each; there are two generations.
func (a *Appraisal) signedBody(doc []byte, name string) ([]byte, *x509.Certificate, error) {
	switch {
	case a.chain == nil:
		return nil, nil, fault.New(attest.ReasonUnchecked, "no proven chain to check it with")
	case len(a.chain.signers) == 0:
		return nil, nil, fault.New(attest.ReasonCollateralMissing, "no proven certificate of %s to check it with", tcbSignerName)
	}
	d, err := splitDocument(doc, name)
	if err != nil {
		return nil, nil, err
	}
	for _, signer := range a.chain.signers {
		if a.signatures.verify(publicKey(signer), formRaw, d.body, d.signature[:]) {
			return d.body, signer, nil
		}
	}
	return nil, nil, fault.New(attest.ReasonCollateralSignature, "not signed by %s", tcbSignerName)
}

// document is a signed document that has been read: what the choice among
// several depends on.
type document struct {
	validity
	evaluation uint32
	signer     *x509.Certificate
}

// better says whether d is to be preferred to o: the one that is valid, and of
// two such the one of the higher evaluation, so that a document more never
// makes anything better than the newest of them says.
func (a *Appraisal) better(d, o document) bool {
	valid := func(d document) bool { return !a.at.Before(d.from) && !a.at.After(d.to) }
	if valid(d) && valid(o) && d.evaluation != o.evaluation {
		return d.evaluation > o.evaluation
	}
	return fresher(a.at, d.from, d.to, o.from, o.to)
}

// choose reads all documents of a kind, of which each must be signed by the
// vendor, and says which counts; those of other platforms or TEEs are passed
// over and named.
func choose[T any](a *Appraisal, docs [][]byte, failed error, name string, read func(body []byte) (*T, document, error)) (*T, error) {
	if failed == nil && len(docs) == 0 {
		failed = fault.New(attest.ReasonCollateralMissing, "missing")
	}
	if failed != nil {
		return nil, failed
	}
	var best *T
	var found document
	var foreign []error
	for _, doc := range docs {
		body, signer, err := a.signedBody(doc, name)
		if err != nil {
			return nil, err
		}
		t, d, err := read(body)
		d.signer = signer
		switch {
		case err != nil && fault.Reason(err, "") != attest.ReasonCollateralForeign:
			return nil, err
		case err != nil:
			foreign = append(foreign, err)
		case best == nil || a.better(d, found):
			best, found = t, d
		}
	}
	if best == nil {
		return nil, foreign[0]
	}
	for _, f := range foreign {
		a.NotChecked("collateral", f.Error())
	}
	a.addCertDates(found.signer)
	a.validity = append(a.validity, found.validity)
	return best, nil
}

const refresh = "get the present TCB info, QE identity and their certificates of this platform model from Intel"

func (a *Appraisal) checkIdentity() {
	const want = "signed by Intel, and the quoting enclave's report is as it says"
	id, err := choose(a, a.in.identities, a.in.identityErr, "enclaveIdentity", func(body []byte) (*qeIdentity, document, error) {
		id, err := parseQEIdentity(body, a.p.TEE)
		if err != nil {
			return nil, document{}, err
		}
		return id, document{validity: documentDates("the QE identity", id.Issued, id.NextUpdate), evaluation: *id.Evaluation}, nil
	})
	if err != nil {
		a.Check(false, fault.Reason(err, attest.ReasonCollateralFormat), "qe-identity", err.Error(), want, specPCS, refresh)
		return
	}
	qe := a.quote.QE()
	if err := id.match(&qe); err != nil {
		a.Check(false, attest.ReasonQuotingEnclave, "qe-identity", err.Error(), want, specPCS, "another program than Intel's has signed this quote; do not use this Keep")
		return
	}
	a.identity = id
	a.qeStatus, a.qeNotes = level(id.Levels, qe.ISVSVN)
	a.Check(true, "", "qe-identity", fmt.Sprintf("evaluation %d, issued %s, next update %s; ISVSVN %d is %s",
		*id.Evaluation, stamp(id.Issued), stamp(id.NextUpdate), qe.ISVSVN, a.qeStatus), want, specPCS, "")
}

func (a *Appraisal) checkInfo() {
	const want = "signed by Intel, of this platform model"
	t, err := choose(a, a.in.tcbInfos, a.in.tcbInfoErr, "tcbInfo", a.readInfo)
	if err != nil {
		a.Check(false, fault.Reason(err, attest.ReasonCollateralFormat), "tcb-info", err.Error(), want, specPCS, refresh)
		return
	}
	a.info = t
	a.Check(true, "", "tcb-info", fmt.Sprintf("version %d, evaluation %d, issued %s, next update %s, FMSPC %x",
		t.Version, *t.Evaluation, stamp(t.Issued), stamp(t.NextUpdate), []byte(t.FMSPC)), want, specPCS, "")
}

// readInfo reads a TCB info, which must be of this platform's model.
func (a *Appraisal) readInfo(body []byte) (*tcbInfo, document, error) {
	t, err := parseTCBInfo(body, a.p.TEE)
	switch {
	case err != nil:
	case a.platform == nil:
		err = fault.New(attest.ReasonUnchecked, "no proven PCK certificate that names a platform model")
	case !bytes.Equal(t.FMSPC, a.platform.fmspc[:]) || !bytes.Equal(t.PCEID, a.platform.pceID[:]):
		err = fault.New(attest.ReasonCollateralForeign, "TCB info of FMSPC %x and PCEID %x, which are not those of the PCK certificate", []byte(t.FMSPC), []byte(t.PCEID))
	}
	if err != nil {
		return nil, document{}, err
	}
	return t, document{validity: documentDates("the TCB info", t.Issued, t.NextUpdate), evaluation: *t.Evaluation}, nil
}
