// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/enarx/enarx-go/attest"
)

// endorsement is an endorsement key whose certificate lies in the TPM.
type endorsement struct {
	key
	certificate []byte // DER
}

// Handle types, the top byte of a handle (TPM 2.0 part 2, 7.2).
const tpm2HandleTransient = 0x80

// endorsementKinds are the endorsement keys of the TCG EK Credential Profile
// for TPM Family 2.0, 2.2.1.4: default templates L-1 and L-2.
var endorsementKinds = []struct {
	name       string
	index      tpm2.TPMHandle // NV index of the certificate
	persistent tpm2.TPMHandle // where provisioning may have left the key (TPM v2.0 Provisioning Guidance, 7.8)
	template   tpm2.TPMTPublic
}{
	{"RSA-2048", 0x01c00002, 0x81010001, tpm2.RSAEKTemplate},
	{"ECC P-256", 0x01c0000a, 0x81010002, tpm2.ECCEKTemplate},
}

// makeAK makes the attestation key: ECC P-256, restricted, for ECDSA with
// SHA-256, a primary key under the endorsement hierarchy. A primary key follows
// from the hierarchy's seed and the template, so random bytes in the template
// make it a key of this Keep alone: evidence of two Keeps on one machine shows
// no common key but the endorsement key.
func (t *TPM) makeAK() (key, error) {
	var x, y [32]byte
	rand.Read(x[:]) // never fails
	rand.Read(y[:])
	r, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		InPublic: tpm2.New2B(tpm2.TPMTPublic{
			Type:    tpm2.TPMAlgECC,
			NameAlg: tpm2.TPMAlgSHA256,
			ObjectAttributes: tpm2.TPMAObject{
				FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true,
				UserWithAuth: true, NoDA: true, Restricted: true, SignEncrypt: true,
			},
			Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
				Scheme: tpm2.TPMTECCScheme{
					Scheme:  tpm2.TPMAlgECDSA,
					Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
				},
				CurveID: tpm2.TPMECCNistP256,
			}),
			Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
				X: tpm2.TPM2BECCParameter{Buffer: x[:]},
				Y: tpm2.TPM2BECCParameter{Buffer: y[:]},
			}),
		}),
	}.Execute(t.t)
	if err != nil {
		return key{}, fmt.Errorf("tpm: make an attestation key (ECC P-256): %w", err)
	}
	return key{handle: r.ObjectHandle, public: r.OutPublic.Bytes(), name: r.Name}, nil
}

// findEndorsements reads the endorsement certificates and finds or makes their
// keys. One is enough; a certificate whose key cannot be had is left out, since
// nothing could be proven with it.
func (t *TPM) findEndorsements() error {
	var why error
	for _, k := range endorsementKinds {
		certificate, err := t.readNV(k.index)
		if err == nil {
			var ek key
			if ek, err = t.endorsementKey(k.persistent, k.template, certificate); err == nil {
				t.eks = append(t.eks, endorsement{ek, certificate})
				continue
			}
		}
		why = errors.Join(why, fmt.Errorf("%s: %w", k.name, err))
	}
	if len(t.eks) == 0 {
		return fmt.Errorf("tpm: no endorsement key with a certificate, so nothing says whose TPM this is; a swtpm gets one from swtpm_setup --create-ek-cert: %w", why)
	}
	return nil
}

// endorsementKey is the key of the certificate: the persistent one if it is
// there, else made again from the template, which takes a TPM a while for RSA.
func (t *TPM) endorsementKey(persistent tpm2.TPMHandle, template tpm2.TPMTPublic, certificate []byte) (key, error) {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return key{}, fmt.Errorf("endorsement certificate: %w", err)
	}
	if r, err := (tpm2.ReadPublic{ObjectHandle: persistent}).Execute(t.t); err == nil && isKeyOf(cert, r.OutPublic) {
		return key{handle: persistent, public: r.OutPublic.Bytes(), name: r.Name}, nil
	}
	r, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(template),
	}.Execute(t.t)
	if err != nil {
		return key{}, fmt.Errorf("make the endorsement key from its default template: %w", err)
	}
	k := key{handle: r.ObjectHandle, public: r.OutPublic.Bytes(), name: r.Name}
	if !isKeyOf(cert, r.OutPublic) {
		return key{}, errors.Join(errors.New("the key of the default template is not the certificate's"), t.flush(k))
	}
	return k, nil
}

// isKeyOf says whether cert is about the key with this public area.
func isKeyOf(cert *x509.Certificate, public tpm2.TPM2BPublic) bool {
	p, err := public.Contents()
	if err != nil {
		return false
	}
	switch pub := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		n, err := p.Unique.RSA()
		return err == nil && bytes.Equal(n.Buffer, pub.N.Bytes())
	case *ecdsa.PublicKey:
		point, err := p.Unique.ECC()
		if err != nil {
			return false
		}
		raw, err := pub.Bytes() // 4 ‖ x ‖ y
		size := (len(raw) - 1) / 2
		return err == nil && bytes.Equal(raw[1:], append(pad(point.X.Buffer, size), pad(point.Y.Buffer, size)...))
	}
	return false
}

// pad puts zeros in front of b up to size bytes: some TPMs leave them out.
func pad(b []byte, size int) []byte {
	return append(make([]byte, max(0, size-len(b))), b...)
}

// readNV reads a certificate from the TPM's memory.
func (t *TPM) readNV(index tpm2.TPMHandle) ([]byte, error) {
	r, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t.t)
	if err != nil {
		return nil, fmt.Errorf("no certificate at NV index %#x: %w", index, err)
	}
	pub, err := r.NVPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("NV index %#x: public area: %w", index, err)
	}
	if pub.DataSize == 0 || pub.DataSize > attest.MaxTPMCertificate {
		return nil, fmt.Errorf("NV index %#x: %d bytes, expected 1 to %d", index, pub.DataSize, attest.MaxTPMCertificate)
	}
	// Readable to everybody by the profile, by one of two ways.
	auth := tpm2.AuthHandle{Handle: index, Name: r.NVName, Auth: tpm2.PasswordAuth(nil)}
	if !pub.Attributes.AuthRead {
		auth = tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	}
	var b []byte
	for len(b) < int(pub.DataSize) {
		n := min(nvChunk, int(pub.DataSize)-len(b))
		r, err := tpm2.NVRead{
			AuthHandle: auth, NVIndex: tpm2.NamedHandle{Handle: index, Name: r.NVName},
			Size: uint16(n), Offset: uint16(len(b)),
		}.Execute(t.t)
		if err != nil {
			return nil, fmt.Errorf("read NV index %#x at %d: %w", index, len(b), err)
		}
		if len(r.Data.Buffer) != n {
			return nil, fmt.Errorf("read NV index %#x at %d: %d bytes, expected %d", index, len(b), len(r.Data.Buffer), n)
		}
		b = append(b, r.Data.Buffer...)
	}
	// Some makers fill the rest of the index with zeros or ones.
	var der asn1.RawValue
	if _, err := asn1.Unmarshal(b, &der); err != nil {
		return nil, fmt.Errorf("NV index %#x: no certificate in it: %w", index, err)
	}
	return der.FullBytes, nil
}

// Respond answers the challenge of a verifier (TPM2_MakeCredential) with the
// secret in it. The TPM gives it out only if it holds both the endorsement key
// that the credential is encrypted to and the attestation key that it names:
// this is the proof that the two live in one TPM. Nothing is signed.
func (t *TPM) Respond(challenge attest.Evidence) (answer attest.Evidence, err error) {
	defer survive(&err)
	if challenge.MediaType != attest.MediaTypeTPMChallenge {
		return attest.Evidence{}, fmt.Errorf("tpm: challenge of type %q, expected %q", clip(challenge.MediaType), attest.MediaTypeTPMChallenge)
	}
	c, err := attest.DecodeTPMChallenge(challenge.Value)
	if err != nil {
		return attest.Evidence{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), activationTimeout)
	defer cancel()
	var secret []byte
	err = t.t.during(ctx, func() error {
		secret, err = t.activate(c)
		return err
	})
	if err != nil {
		return attest.Evidence{}, err
	}
	return attest.Evidence{MediaType: attest.MediaTypeTPMAnswer, Value: secret}, nil
}

// activate is TPM2_ActivateCredential with the policy of the default
// endorsement key templates: TPM2_PolicySecret(TPM_RH_ENDORSEMENT).
func (t *TPM) activate(c *attest.TPMChallenge) (secret []byte, err error) {
	if uint64(c.Endorsement) >= uint64(len(t.eks)) {
		return nil, fmt.Errorf("tpm: the challenge is for endorsement key %d, there are %d", c.Endorsement, len(t.eks))
	}
	blob, err := unsized("credential", c.IDObject)
	if err != nil {
		return nil, err
	}
	encrypted, err := unsized("encrypted secret", c.Secret)
	if err != nil {
		return nil, err
	}
	session, closer, err := tpm2.PolicySession(t.t, tpm2.TPMAlgSHA256, 16)
	if err != nil {
		return nil, fmt.Errorf("tpm: start a policy session: %w", err)
	}
	defer func() { err = errors.Join(err, closer()) }()
	_, err = tpm2.PolicySecret{
		AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		PolicySession: session.Handle(),
		NonceTPM:      session.NonceTPM(),
	}.Execute(t.t)
	if err != nil {
		return nil, fmt.Errorf("tpm: PolicySecret(endorsement): %w", err)
	}
	r, err := tpm2.ActivateCredential{
		ActivateHandle: t.ak.auth(tpm2.PasswordAuth(nil)),
		KeyHandle:      t.eks[c.Endorsement].auth(session),
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: blob},
		Secret:         tpm2.TPM2BEncryptedSecret{Buffer: encrypted},
	}.Execute(t.t)
	if err != nil {
		return nil, fmt.Errorf("tpm: the TPM does not activate this credential: it is for another endorsement key, or for another attestation key: %w", err)
	}
	return r.CertInfo.Buffer, nil
}

// unsized takes the length off a TPM2B.
func unsized(what string, b []byte) ([]byte, error) {
	if len(b) < 2 || int(binary.BigEndian.Uint16(b)) != len(b)-2 {
		return nil, fmt.Errorf("tpm: challenge: %s of %d bytes whose own length is another", what, len(b))
	}
	return b[2:], nil
}

// clip keeps what a stranger sent from filling an error.
func clip(s string) string { return s[:min(len(s), attest.MaxMediaType)] }
