// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package simhw

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/sim"
)

// intel is the simulated Intel with one platform: TDX and SGX in one. Its
// certificates have the common names that Intel's have, since verifiers tell
// them apart by name, and the sim marker as their organisation.
type intel struct {
	root, ca, signer, pck *x509.Certificate
	rootCRL, caCRL        []byte
	docs                  [4][]byte         // see docNames
	pckKey                *ecdsa.PrivateKey // the keys of root, CA and signer are forgotten
	attestKey             *ecdsa.PrivateKey // of the quoting enclave, made at each start
}

// docNames are what a verifier asks of Intel beside certificates and lists, as
// they stand in a saved authority.
var docNames = [4]string{"SIM TDX TCB INFO", "SIM TDX QE IDENTITY", "SIM SGX TCB INFO", "SIM SGX QE IDENTITY"}

// The firmware level of the simulated platform: all ones, which its TCB info
// calls up to date.
const simLevel = 1

// Offsets in the bodies of quotes (Intel TDX DCAP Quoting Library API and Intel
// SDM volume 3D); package dcap reads them back and checks them.
const (
	tdSize, tdSVN, tdAttributes, tdMRTD, tdConfigID, tdReportData                                 = 584, 0, 120, 136, 184, 520
	encSize, encExtProdID, encFlags, encMeasurement, encSigner, encConfigID, encProdID, encReport = 384, 32, 48, 64, 128, 192, 256, 320
	qeFlags, qeProdTDX, qeProdSGX                                                                 = 0x15, 2, 1
)

// qeVendor is the identifier that Intel's quoting enclaves put into quotes.
var qeVendor = []byte{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07}

// qeSigner stands for the digest of the key that signed the quoting enclave.
var qeSigner = sha256.Sum256([]byte(sim.Marker + " quoting enclave"))

func newIntel(now time.Time) (*intel, error) {
	var keys [4]*ecdsa.PrivateKey // root, CA, signer, PCK
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, fmt.Errorf("sim hardware: key of the Intel shape: %w", err)
		}
	}
	v := &intel{pckKey: keys[3]}
	extension, err := sgxExtension()
	if err != nil {
		return nil, err
	}
	for i, c := range []struct {
		to     **x509.Certificate
		name   string
		ca     bool
		parent int // in keys
	}{
		{&v.root, "Intel SGX Root CA", true, 0},
		{&v.ca, "Intel SGX PCK Platform CA", true, 0},
		{&v.signer, "Intel SGX TCB Signing", false, 0},
		{&v.pck, "Intel SGX PCK Certificate", false, 1},
	} {
		t := base("", now, int64(i+1))
		t.Subject.CommonName = c.name
		t.SignatureAlgorithm = x509.ECDSAWithSHA256
		t.BasicConstraintsValid, t.IsCA = true, c.ca
		t.KeyUsage = x509.KeyUsageDigitalSignature
		if c.ca {
			t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		}
		if c.to == &v.pck {
			t.ExtraExtensions = []pkix.Extension{{Id: oidSGX, Value: extension}}
		}
		parent := t
		if i > 0 {
			parent = []*x509.Certificate{v.root, v.ca}[c.parent]
		}
		if *c.to, err = issue(t, parent, keys[i].Public(), keys[c.parent]); err != nil {
			return nil, err
		}
	}
	if v.rootCRL, err = emptyCRL(v.root, keys[0]); err != nil {
		return nil, err
	}
	if v.caCRL, err = emptyCRL(v.ca, keys[1]); err != nil {
		return nil, err
	}
	if err := v.sign(keys[2]); err != nil {
		return nil, err
	}
	return v, v.start()
}

// start makes the key that a quoting enclave makes when it starts.
func (v *intel) start() (err error) {
	if v.attestKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return fmt.Errorf("sim hardware: attestation key: %w", err)
	}
	return nil
}

func emptyCRL(issuer *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: issuer.NotBefore, NextUpdate: issuer.NotAfter,
	}, issuer, key)
	if err != nil {
		return nil, fmt.Errorf("sim hardware: revocation list: %w", err)
	}
	return der, nil
}

var oidSGX = asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}

func sgxOID(n ...int) asn1.ObjectIdentifier { return append(oidSGX[:len(oidSGX):len(oidSGX)], n...) }

// sgxExtension is what a PCK certificate says of its platform (PCK certificate
// profile, section 1.3.5): PPID, TCB, PCEID, FMSPC and SGX type.
func sgxExtension() ([]byte, error) {
	type octets struct {
		ID    asn1.ObjectIdentifier
		Value []byte
	}
	type number struct {
		ID    asn1.ObjectIdentifier
		Value int
	}
	var tcb struct {
		ID    asn1.ObjectIdentifier
		Value []asn1.RawValue
	}
	var all []asn1.RawValue
	var fault error
	add := func(to *[]asn1.RawValue, v any) {
		der, err := asn1.Marshal(v)
		if err != nil {
			fault = err
		}
		*to = append(*to, asn1.RawValue{FullBytes: der})
	}
	tcb.ID = sgxOID(2)
	for i := 1; i <= 17; i++ { // sixteen components and PCESVN
		add(&tcb.Value, number{sgxOID(2, i), simLevel})
	}
	add(&tcb.Value, octets{sgxOID(2, 18), make([]byte, 16)})
	ppid := sha256.Sum256([]byte(sim.Marker))
	add(&all, octets{sgxOID(1), ppid[:16]})
	add(&all, tcb)
	add(&all, octets{sgxOID(3), make([]byte, 2)})
	add(&all, octets{sgxOID(4), make([]byte, 6)})
	add(&all, struct {
		ID    asn1.ObjectIdentifier
		Value asn1.Enumerated
	}{sgxOID(5), 0})
	der, err := asn1.Marshal(all)
	if err == nil {
		err = fault
	}
	if err != nil {
		return nil, fmt.Errorf("sim hardware: PCK extension: %w", err)
	}
	return der, nil
}

// sign makes the four documents, valid for as long as the certificates.
func (v *intel) sign(key *ecdsa.PrivateKey) error {
	from, to := v.root.NotBefore.UTC().Format(time.RFC3339), v.root.NotAfter.UTC().Format(time.RFC3339)
	sgx, tdx := make([]any, 16), make([]any, 16)
	for i := range sgx {
		sgx[i], tdx[i] = map[string]any{"svn": simLevel}, map[string]any{"svn": 0}
	}
	for i, id := range []string{"TDX", "TD_QE", "SGX", "QE"} {
		m := map[string]any{"id": id, "issueDate": from, "nextUpdate": to, "tcbEvaluationDataNumber": 1}
		name := "tcbInfo"
		level := map[string]any{"tcbDate": from, "tcbStatus": "UpToDate"}
		if i%2 == 0 {
			tcb := map[string]any{"sgxtcbcomponents": sgx, "pcesvn": simLevel}
			m["version"], m["fmspc"], m["pceId"], m["tcbType"] = 3, strings.Repeat("0", 12), "0000", 0
			if id == "TDX" {
				tcb["tdxtcbcomponents"] = tdx
				m["tdxModule"] = map[string]any{"mrsigner": strings.Repeat("0", 96), "attributes": strings.Repeat("0", 16), "attributesMask": strings.Repeat("F", 16)}
			}
			level["tcb"] = tcb
		} else {
			name = "enclaveIdentity"
			level["tcb"] = map[string]any{"isvsvn": simLevel}
			m["version"], m["miscselect"], m["miscselectMask"] = 2, "00000000", "FFFFFFFF"
			m["attributes"], m["attributesMask"] = fmt.Sprintf("%02x", qeFlags)+strings.Repeat("0", 30), strings.Repeat("F", 16)+strings.Repeat("0", 16)
			m["mrsigner"], m["isvprodid"] = hex.EncodeToString(qeSigner[:]), qeProduct(id == "QE")
		}
		m["tcbLevels"] = []any{level}
		body, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("sim hardware: %s: %w", docNames[i], err)
		}
		sig, err := rawP256(key, body)
		if err != nil {
			return err
		}
		v.docs[i] = fmt.Appendf(nil, `{"%s":%s,"signature":"%x"}`, name, body, sig)
	}
	return nil
}

func qeProduct(sgx bool) int {
	if sgx {
		return qeProdSGX
	}
	return qeProdTDX
}

// rawP256 signs in Intel's form: r and s, 32 bytes each, over SHA-256.
func rawP256(key *ecdsa.PrivateKey, b []byte) ([]byte, error) {
	sum := sha256.Sum256(b)
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return nil, fmt.Errorf("sim hardware: sign: %w", err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
}

// collateral is what a verifier needs beside a quote, which brings the chain of
// its PCK certificate.
func (v *intel) collateral(sgx bool) attest.Collateral {
	info := v.docs[0:2]
	if sgx {
		info = v.docs[2:4]
	}
	return attest.Collateral{
		{MediaType: attest.MediaTypePEMChain, Value: append(certPEM(v.signer), certPEM(v.root)...)},
		{MediaType: attest.MediaTypeCRL, Value: v.rootCRL},
		{MediaType: attest.MediaTypeCRL, Value: v.caCRL},
		{MediaType: attest.MediaTypeIntelTCBInfo, Value: info[0]},
		{MediaType: attest.MediaTypeIntelQEIdentity, Value: info[1]},
	}
}

// quote signs a quote: of a TD, version 4, or of an enclave, version 3.
func (v *intel) quote(sgx bool, s Spec) ([]byte, error) {
	le := binary.LittleEndian
	version, size := uint16(4), tdSize
	header := make([]byte, 48)
	if sgx {
		version, size = 3, encSize
	} else {
		header[4] = 0x81
	}
	le.PutUint16(header, version)
	header[2] = 2 // ECDSA P-256
	copy(header[12:], qeVendor)
	body := make([]byte, size)
	if sgx {
		copy(body[encMeasurement:], s.Measurement[:32])
		copy(body[encExtProdID:], s.Measurement[32:])
		copy(body[encConfigID:], s.HostData[:])
		copy(body[encReport:], s.ReportData[:])
		le.PutUint64(body[encFlags:], 0x85) // initialised, 64-bit, KSS
		body[encFlags+8] = 3
	} else {
		copy(body[tdMRTD:], s.Measurement[:])
		copy(body[tdConfigID:], s.HostData[:])
		copy(body[tdReportData:], s.ReportData[:])
		le.PutUint64(body[tdAttributes:], 1<<28) // SEPT_VE_DISABLE
	}
	if s.Edit != nil {
		s.Edit(body)
	}
	signed := append(header, body...)
	key := v.attestKey
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("sim hardware: attestation key: %w", err)
	}
	point = point[1:]
	inner, err := v.certification(sgx, point)
	if err != nil {
		return nil, err
	}
	by := key
	if s.Sign != nil {
		by = s.Sign
	}
	sig, err := rawP256(by, signed)
	if err != nil {
		return nil, err
	}
	data := append(sig, point...)
	if version >= 4 {
		data = le.AppendUint16(data, 6)
		data = le.AppendUint32(data, uint32(len(inner)))
	}
	data = append(data, inner...)
	return append(le.AppendUint32(signed, uint32(len(data))), data...), nil
}

// certification is the quoting enclave's report over its key, signed by the
// PCK, and the chain of that.
func (v *intel) certification(sgx bool, point []byte) ([]byte, error) {
	le := binary.LittleEndian
	auth := []byte(sim.Marker)
	qe := make([]byte, encSize)
	qe[encFlags], qe[encFlags+8] = qeFlags, 3
	copy(qe[encSigner:], qeSigner[:])
	le.PutUint16(qe[encProdID:], uint16(qeProduct(sgx)))
	le.PutUint16(qe[encProdID+2:], simLevel)
	sum := sha256.Sum256(append(append([]byte(nil), point...), auth...))
	copy(qe[encReport:], sum[:])
	sig, err := rawP256(v.pckKey, qe)
	if err != nil {
		return nil, err
	}
	var chain []byte
	for _, c := range []*x509.Certificate{v.pck, v.ca, v.root} {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	b := append(qe, sig...)
	b = append(le.AppendUint16(b, uint16(len(auth))), auth...)
	b = le.AppendUint16(b, 5) // a chain in PEM
	return append(le.AppendUint32(b, uint32(len(chain))), chain...), nil
}
