// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/internal/dcap"
	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
)

// Where the 48 bytes of a sim measurement stand, by shape:
//
//	snp    MEASUREMENT
//	tdx    MRTD; RTMR0 to RTMR3 are zero, as nothing is extended
//	sgx    MRENCLAVE, 32 bytes, and ISVEXTPRODID, 16, since one is too short
//	nitro  PCR0; PCR1 and PCR2 are zero
//	vtpm   the data of the one event of PCR 11, whose digest is in the register;
//	       PCR 0 to 9, 12 and 13 are zero
//
// Host data stands in HOST_DATA, MRCONFIGID, CONFIGID, nonce and PCR 14, report
// data in the field of that name and, of nitro, in user_data, of vtpm in the
// qualifying data: as on hardware.

// shapes is the value of the marker: the roots of the shapes that do not use
// RSA. The key is one of P-256, uncompressed; the certificate is in DER.
type shapes struct {
	IntelKey  []byte
	NitroRoot []byte
	TPMRoot   []byte `asn1:"optional,tag:0"` // empty in roots of older agents
}

// MarkerValue is the value of the marker extension in the root of an agent that
// knows all shapes: an ASN.1 sequence of octet strings, the root key of the Intel
// shapes, the root certificate of the Nitro shape and that of the TPM shape,
// which has tag 0 and which older roots are without (nil).
func MarkerValue(intel *ecdsa.PublicKey, nitroRoot, tpmRoot *x509.Certificate) ([]byte, error) {
	point, err := intel.Bytes()
	if err != nil {
		return nil, fmt.Errorf("sim root: key of the Intel shapes: %w", err)
	}
	s := shapes{IntelKey: point, NitroRoot: nitroRoot.Raw}
	if tpmRoot != nil {
		s.TPMRoot = tpmRoot.Raw
	}
	return asn1.Marshal(s)
}

// oldMarker is the value in roots of agents that knew the shape of SNP alone.
var oldMarker = []byte{5, 0}

// readShapes reads the marker of a root.
func (r *Root) readShapes(der []byte) error {
	if bytes.Equal(der, oldMarker) {
		return nil
	}
	var s shapes
	rest, err := asn1.Unmarshal(der, &s)
	if err != nil || len(rest) != 0 {
		return fmt.Errorf("the marker is not the roots of two shapes")
	}
	if again, err := asn1.Marshal(s); err != nil || !bytes.Equal(again, der) {
		return fmt.Errorf("the marker is not in its one encoding")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), s.IntelKey)
	if err != nil {
		return fmt.Errorf("the marker's key of the Intel shapes: %w", err)
	}
	c, err := x509.ParseCertificate(s.NitroRoot)
	if err == nil {
		err = nitrodoc.CheckRoot(c)
	}
	if err != nil {
		return fmt.Errorf("the marker's root of the Nitro shape: %w", err)
	}
	if !marks(c) {
		return fmt.Errorf("the marker's root of the Nitro shape is of %q, expected a name that begins with %s", c.Subject.CommonName, Marker)
	}
	if len(s.TPMRoot) > 0 {
		if r.tpm, err = x509.ParseCertificate(s.TPMRoot); err != nil {
			return fmt.Errorf("the marker's root of the TPM shape: %w", err)
		}
		if !marks(r.tpm) || !r.tpm.IsCA || r.tpm.CheckSignatureFrom(r.tpm) != nil {
			return fmt.Errorf("the marker's root of the TPM shape is of %q, expected a root with a name that begins with %s", r.tpm.Subject.CommonName, Marker)
		}
	}
	r.intel, r.nitro = dcap.NewRoot(key, "sim root "+r.Fingerprint()+", named by the user"), c
	return nil
}

// Formats are the shapes of evidence whose keys r vouches for, by the name of
// the platform that has them.
func (r Root) Formats() []string {
	switch {
	case r.cert == nil:
		return nil
	case r.nitro == nil:
		return []string{attest.PlatformSNP}
	case r.tpm == nil:
		return []string{attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX, attest.PlatformNitro}
	}
	return []string{attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX, attest.PlatformNitro, attest.PlatformVTPM}
}

func nitroMeasurement(d *nitrodoc.Document) [48]byte { return [48]byte(d.PCRs[0]) }

// attributes of a sim TD (SEPT_VE_DISABLE) and flags of a sim enclave
// (initialised, 64-bit, KSS): these and no others.
const (
	tdAttributes = 1 << 28
	enclaveFlags = 0x85
)

// verifyIntel checks a quote of either Intel shape.
func (v verifier) verifyIntel(source string, ev attest.Evidence, col attest.Collateral, exp attest.Expected, at time.Time) (*attest.Claims, attest.Verdict) {
	tee := dcap.TDX
	if ev.MediaType == attest.MediaTypeSGX {
		tee = dcap.SGX
	}
	root := v.root.intel
	if v.root.nitro == nil {
		root = dcap.NewRoot(nil, source)
	}
	a := dcap.Appraise(dcap.Params{
		Platform: attest.PlatformSim, Simulated: true, TEE: tee, MediaType: ev.MediaType, Root: root, Waive: v.waive,
	}, ev, col, exp.TCB, at)
	var c attest.Claims
	q := a.Quote()
	switch {
	case q == nil:
		return a.Finish(c)
	case q.TD != nil:
		td := q.TD
		c.Measurement, c.HostData, c.ReportData = td.MRTD[:], td.MRConfigID[:32], td.ReportData
		checkExactly(a, "TD attributes", td.Attributes(), tdAttributes)
		a.Check(td.RTMR == [4][48]byte{} && td.MRServiceTD == [48]byte{}, attest.ReasonMeasurement, "registers",
			fmt.Sprintf("RTMR0 to RTMR3 %x, MR_SERVICETD %x", td.RTMR, td.MRServiceTD), "zero", ruleSim, notOurs)
		a.Measurement(c.Measurement, "MRTD", exp.Measurements)
		a.HostData("MRCONFIGID", td.MRConfigID[:], exp.HostData)
	case q.Enclave != nil:
		e := q.Enclave
		c.Measurement, c.HostData, c.ReportData = append(bytes.Clone(e.MREnclave[:]), e.ISVExtProdID[:]...), e.ConfigID[:32], e.ReportData
		checkExactly(a, "attribute flags", e.Flags(), enclaveFlags)
		a.Measurement(c.Measurement, "MRENCLAVE and ISVEXTPRODID", exp.Measurements)
		a.HostData("CONFIGID", e.ConfigID[:], exp.HostData)
	}
	a.ReportData(c.ReportData, exp.ReportData)
	c.Measurement, c.HostData = bytes.Clone(c.Measurement), bytes.Clone(c.HostData)
	return a.Finish(c)
}

const (
	ruleSim = "rule of the sim platform"
	notOurs = "the simulation was told to make evidence of something else than a Keep"
)

// checkExactly refuses debugging and whatever else a sim Keep never has.
func checkExactly(a *dcap.Appraisal, name string, got, want uint64) {
	a.Check(got == want, attest.ReasonDebug, "debug", fmt.Sprintf("%s %#x", name, got), fmt.Sprintf("%#x: no debugging, nothing else", want), ruleSim, notOurs)
}
