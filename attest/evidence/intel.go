// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/enarx/enarx-go/attest"
)

// fortanix reads what the PCS client of fortanix/rust-sgx stores: the exact
// body as a string, the signature in DER as numbers, the chain in PEM.
func fortanix(o object, raw, name string) (attest.Collateral, error) {
	if rest := o.except(raw, "signature", "ca_chain"); rest != "" {
		return nil, fmt.Errorf("%s with unknown members %s", raw, rest)
	}
	body, err := o.str(raw)
	if err != nil {
		return nil, err
	}
	der, err := o.numbers("signature", -1)
	if err != nil {
		return nil, err
	}
	rs, err := plainSignature(der)
	if err != nil {
		return nil, fmt.Errorf("signature of %s: %w", raw, err)
	}
	col := attest.Collateral{signedDocument(name, body, hex.EncodeToString(rs))}
	var chain []string
	if o.has("ca_chain") {
		if err := json.Unmarshal(o["ca_chain"], &chain); err != nil {
			return nil, fmt.Errorf(`"ca_chain" is no array of strings`)
		}
	}
	for i, c := range chain {
		more, err := certificates([]byte(c))
		if err != nil {
			return nil, fmt.Errorf(`"ca_chain" %d: %w`, i, err)
		}
		col = append(col, more...)
	}
	return col, nil
}

// plainSignature turns an ECDSA signature of DER into r and s, 32 bytes each.
func plainSignature(der []byte) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &sig); err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("not in DER")
	}
	if sig.R.Sign() < 0 || sig.S.Sign() < 0 || sig.R.BitLen() > 256 || sig.S.BitLen() > 256 {
		return nil, fmt.Errorf("not of P-256")
	}
	rs := make([]byte, 64)
	sig.R.FillBytes(rs[:32])
	sig.S.FillBytes(rs[32:])
	return rs, nil
}

// signedDocument puts body and signature together as the PCS serves them. The
// body stays as it is, byte for byte: the signature is of these bytes.
func signedDocument(name, body, signature string) attest.Evidence {
	return attest.Evidence{
		MediaType: signedDocuments[name],
		Value:     []byte(`{"` + name + `":` + body + `,"signature":"` + signature + `"}`),
	}
}

// qvlJSON reads the collateral of dcap-qvl: bodies and signatures as strings,
// chains in PEM, lists in hexadecimal.
func qvlJSON(o object) (attest.Collateral, error) {
	if rest := o.except("pck_crl_issuer_chain", "root_ca_crl", "pck_crl", "tcb_info_issuer_chain", "tcb_info", "tcb_info_signature",
		"qe_identity_issuer_chain", "qe_identity", "qe_identity_signature", "pck_certificate_chain"); rest != "" {
		return nil, fmt.Errorf("quote collateral with unknown members %s", rest)
	}
	var col attest.Collateral
	for _, key := range []string{"pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain", "pck_certificate_chain"} {
		if !o.has(key) {
			continue
		}
		s, err := o.str(key)
		if err != nil {
			return nil, err
		}
		more, err := certificates([]byte(s))
		if err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
		col = append(col, more...)
	}
	for _, key := range []string{"root_ca_crl", "pck_crl"} {
		if !o.has(key) {
			continue
		}
		der, err := o.bytes(key)
		if err != nil {
			return nil, err
		}
		if err := checkList(der); err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
		col = append(col, attest.Evidence{MediaType: attest.MediaTypeCRL, Value: der})
	}
	for _, d := range [][2]string{{"tcb_info", "tcbInfo"}, {"qe_identity", "enclaveIdentity"}} {
		body, err := o.str(d[0])
		if err != nil {
			return nil, err
		}
		sig, err := o.bytes(d[0] + "_signature")
		if err != nil {
			return nil, err
		}
		if !json.Valid([]byte(body)) {
			return nil, fmt.Errorf("%q is no JSON", d[0])
		}
		col = append(col, signedDocument(d[1], body, hex.EncodeToString(sig)))
	}
	return unique(col), nil
}

// unique drops entries that are there already, byte for byte: collections of
// chains name root and TCB signer again and again.
func unique(col attest.Collateral) attest.Collateral {
	seen := map[string]bool{}
	var out attest.Collateral
	for _, e := range col {
		key := e.MediaType + "\x00" + string(e.Value)
		if !seen[key] {
			seen[key] = true
			out = append(out, e)
		}
	}
	return out
}

// qveBegin is how a serialised sgx_ql_qve_collateral_t begins as ravl keeps it:
// version 3.1 and TEE type 0 (SGX) or 0x81 (TDX), big-endian.
var qveBegin = []byte{0, 3, 0, 1}

// findQvE reads a serialised sgx_ql_qve_collateral_t (Intel DCAP,
// sgx_ql_lib_common.h): version (2+2), TEE type (4), then seven fields, each with
// its size (8), big-endian, and most ending in a NUL.
func findQvE(b []byte) (attest.Collateral, error) {
	if !bytes.HasPrefix(b, qveBegin) || len(b) < 8 {
		return nil, fmt.Errorf("%w: expected serialised collateral of version 3.1", errNoCollateral)
	}
	b = b[8:]
	var fields [7][]byte
	for i := range fields {
		if len(b) < 8 {
			return nil, fmt.Errorf("serialised collateral ends before field %d", i)
		}
		n := binary.BigEndian.Uint64(b)
		if n > uint64(len(b)-8) {
			return nil, fmt.Errorf("field %d of serialised collateral has %d bytes, of which %d are there", i, n, len(b)-8)
		}
		fields[i], b = b[8:8+n], b[8+n:]
		if text := bytes.TrimRight(fields[i], "\x00"); isText(text) {
			fields[i] = text // of DER, a zero at the end would be its own
		}
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%d bytes after the serialised collateral", len(b))
	}
	var col attest.Collateral
	for i, f := range fields {
		more, err := qveField(i, f)
		if err != nil {
			return nil, fmt.Errorf("field %d of serialised collateral: %w", i, err)
		}
		col = append(col, more...)
	}
	return unique(col), nil
}

// qveField reads one field: issuer chain of the PCK list, root list, PCK list,
// issuer chain of the TCB info, TCB info, issuer chain of the QE identity, QE
// identity.
func qveField(i int, b []byte) (attest.Collateral, error) {
	if len(b) == 0 {
		return nil, nil
	}
	switch i {
	case 0, 3, 5:
		return certificates(b)
	case 1, 2:
		return listField(b)
	}
	return jsonCollateral(b)
}

// listField reads a revocation list as DER, PEM or hexadecimal: versions of the
// structure differ in it.
func listField(b []byte) (attest.Collateral, error) {
	if raw, ok := unhex(b); ok {
		b = raw
	}
	if bytes.HasPrefix(b, pemBegin) {
		return pemCollateral(b)
	}
	return derCollateral(b)
}
