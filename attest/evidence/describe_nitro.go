// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/enarx/enarx-go/attest/internal/nitrodoc"
)

const specNitro = "AWS Nitro Enclaves, Attestation process, \"Attestation document\""

// nitroPCRs say what the registers of an enclave are, by number.
var nitroPCRs = map[uint64]string{
	0: "Digest of the enclave image: compare it with a release that you know; all zero for an enclave in debug mode.",
	1: "Digest of the kernel and its initial file system.",
	2: "Digest of the application.",
	3: "Digest of the IAM role of the parent instance.",
	4: "Digest of the id of the parent instance.",
	8: "Digest of the certificate that signed the enclave image.",
}

// decodeNitro reads exactly one value. AWS writes maps of definite and (since
// 2025) of indefinite length.
func decodeNitro(b []byte, v any) error {
	o := taggedOptions
	o.IndefLength = cbor.IndefLengthAllowed
	mode, err := o.DecMode()
	if err != nil {
		return err
	}
	return mode.Unmarshal(b, v)
}

// describeNitro describes an attestation document.
func describeNitro(b []byte) (*Description, error) {
	d := &Description{Kind: formatNitro, Title: "AWS Nitro attestation document"}
	if _, err := nitrodoc.Parse(b); err != nil {
		d.note("A verifier will refuse it: %v.", err)
	}
	var sign struct {
		_           struct{} `cbor:",toarray"`
		Protected   []byte
		Unprotected cbor.RawMessage
		Payload     []byte
		Signature   []byte
	}
	if err := decodeNitro(b, &sign); err != nil {
		return nil, malformed(formatNitro, "COSE_Sign1: %w", err) // also with a tag, which AWS does not write
	}
	var payload map[string]cbor.RawMessage
	if err := decodeNitro(sign.Payload, &payload); err != nil {
		return nil, malformed(formatNitro, "payload: %w", err)
	}
	d.Fields = append(d.Fields, nitroHeader(sign.Protected))
	at := bytes.Index(b, sign.Payload)
	body := Field{Name: "payload", Offset: at, Size: len(sign.Payload), Meaning: "What the Nitro hypervisor says of the enclave or instance.", Spec: specNitro}
	for _, key := range []string{"module_id", "timestamp", "digest", "pcrs", "nitrotpm_pcrs", "user_data", "nonce", "public_key", "certificate", "cabundle"} {
		if raw, ok := payload[key]; ok {
			body.Fields = append(body.Fields, nitroField(key, raw))
			delete(payload, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(payload)) {
		body.Fields = append(body.Fields, text(shown(key), shown(hex.EncodeToString(payload[key])), "Not known to this program.", ""))
		d.note("The payload has an unknown member %q.", shown(key))
	}
	d.Fields = append(d.Fields, body, Field{
		Name: "signature", Offset: max(bytes.LastIndex(b, sign.Signature), 0), Size: len(sign.Signature), Value: hex.EncodeToString(sign.Signature),
		Meaning: "ECDSA P-384 signature by the key of the certificate; not checked here.", Spec: "RFC 9052, section 4.2",
	})
	return d, nil
}

// nitroHeader describes the protected header, which names the algorithm.
func nitroHeader(b []byte) Field {
	f := Field{Name: "protected header", Value: hex.EncodeToString(b), Meaning: "How the document is signed.", Spec: "RFC 9052, section 3.1"}
	var m map[int64]int64
	if err := decodeNitro(b, &m); err == nil && len(m) == 1 && m[1] == -35 {
		f.Meaning = "How the document is signed: ES384, as all of AWS's are."
	}
	return f
}

// nitroField describes one member of the payload.
func nitroField(key string, raw cbor.RawMessage) Field {
	f := Field{Name: key, Spec: specNitro}
	unreadable := func() Field {
		f.Value, f.Meaning = shown(hex.EncodeToString(raw)), "Not of the form that the specification gives."
		return f
	}
	switch key {
	case "module_id", "digest":
		var s string
		if decodeNitro(raw, &s) != nil {
			return unreadable()
		}
		f.Value = shown(s)
		f.Meaning = map[string]string{"module_id": "Instance and enclave, or NitroTPM, that it speaks of.", "digest": "Digest of the registers; SHA384 is the only one."}[key]
	case "timestamp":
		var ms uint64
		if decodeNitro(raw, &ms) != nil || ms > math.MaxInt64 {
			return unreadable()
		}
		f.Value = fmt.Sprintf("%d (%s)", ms, time.UnixMilli(int64(ms)).UTC().Format(time.RFC3339))
		f.Meaning = "When the hypervisor made it, in milliseconds since 1970: its certificates live for hours around this time."
	case "pcrs", "nitrotpm_pcrs":
		return nitroRegisters(f, raw, key == "pcrs")
	case "certificate":
		var der []byte
		if decodeNitro(raw, &der) != nil {
			return unreadable()
		}
		return certificateField(f, der, "Certificate of the key that signed the document.")
	case "cabundle":
		var ders [][]byte
		if decodeNitro(raw, &ders) != nil {
			return unreadable()
		}
		f.Value, f.Meaning = fmt.Sprintf("%d certificates", len(ders)), "Authorities up to AWS's root, the root first; not checked here."
		for i, der := range ders {
			f.Fields = append(f.Fields, certificateField(Field{Name: fmt.Sprintf("certificate %d", i+1)}, der, ""))
		}
	default:
		return nitroBytes(f, raw)
	}
	return f
}

// nitroBytes describes what the enclave put into the document.
func nitroBytes(f Field, raw cbor.RawMessage) Field {
	f.Meaning = map[string]string{
		"user_data": "Bytes that the enclave chose.", "nonce": "Bytes that the enclave was given, to tie the document to a question.",
		"public_key": "Key that the enclave chose, to which others encrypt.",
	}[f.Name]
	var b []byte
	switch {
	case string(raw) == "\xf6":
		f.Value = "null"
	case decodeNitro(raw, &b) != nil:
		f.Value, f.Meaning = shown(hex.EncodeToString(raw)), "Not of the form that the specification gives."
	default:
		f.Value = hex.EncodeToString(b)
		if t := printable(b); t != "" {
			f.Fields = []Field{{Name: "as text", Value: t}}
		}
	}
	return f
}

// nitroRegisters describes the registers; runs of zero ones are left out.
func nitroRegisters(f Field, raw cbor.RawMessage, enclave bool) Field {
	var pcrs map[uint64][]byte
	if decodeNitro(raw, &pcrs) != nil {
		f.Value, f.Meaning = shown(hex.EncodeToString(raw)), "Not of the form that the specification gives."
		return f
	}
	f.Value = fmt.Sprintf("%d registers", len(pcrs))
	f.Meaning = "Registers of the NitroTPM: what firmware and system measured when the instance started."
	if enclave {
		f.Meaning = "Registers of the enclave; those that are zero and have no meaning of their own are left out."
	}
	for _, n := range slices.Sorted(maps.Keys(pcrs)) {
		if meaning := nitroPCRs[n]; !enclave || meaning != "" || !zero(pcrs[n]) {
			if !enclave {
				meaning = ""
			}
			f.Fields = append(f.Fields, Field{Name: fmt.Sprintf("PCR%d", n), Value: hex.EncodeToString(pcrs[n]), Meaning: meaning, Spec: specNitro})
		}
	}
	return f
}

// certificateField describes a certificate as a field.
func certificateField(f Field, der []byte, meaning string) Field {
	f.Meaning = meaning
	cd, err := describeCertificate(der)
	if err != nil {
		f.Value = "unreadable: " + shown(err.Error())
		return f
	}
	f.Value, f.Fields = cd.Title, cd.Fields
	return f
}
