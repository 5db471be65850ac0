// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// A real TPM opens no credential for an attestation key that somebody holds
// outside of it, whatever the key's public area says of itself. Activation rests
// on this: attributes such as fixedTPM are the TPM's word, and of a key whose
// public half alone was loaded they are nobody's. Both ways to authorise the
// command are tried, the key's own policy among them.
func TestTPMOpensNoCredentialForAKeyFromOutside(t *testing.T) {
	src, err := NewTPM(t.Context(), powerOn(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, byPolicy := range map[string]bool{"by password": false, "by its policy": true} {
		public := publicFromOutside(t, byPolicy)
		err := src.t.during(t.Context(), func() error { return activateFromOutside(src, public, byPolicy) })
		if !errors.Is(err, tpm2.TPMRCAuthUnavailable) {
			t.Errorf("%s: %v, expected that the key cannot authorise anything", name, err)
		}
	}
}

// publicFromOutside is the public area of a key that was made here, and says
// that it was made in the TPM.
func publicFromOutside(t *testing.T, byPolicy bool) tpm2.TPMTPublic {
	t.Helper()
	outside, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := outside.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public := tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true,
			UserWithAuth: true, NoDA: true, Restricted: true, SignEncrypt: true, AdminWithPolicy: byPolicy,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			CurveID: tpm2.TPMECCNistP256,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: raw[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: raw[33:]},
		}),
	}
	if byPolicy {
		// TPM2_PolicyCommandCode(TPM2_ActivateCredential) alone (Part 3, 23.11).
		codes := binary.BigEndian.AppendUint32(make([]byte, 32), uint32(tpm2.TPMCCPolicyCommandCode))
		policy := sha256.Sum256(binary.BigEndian.AppendUint32(codes, uint32(tpm2.TPMCCActivateCredential)))
		public.AuthPolicy = tpm2.TPM2BDigest{Buffer: policy[:]}
	}
	return public
}

// activateFromOutside loads a public area and has the TPM open a credential for
// it. Nil means that it did.
func activateFromOutside(src *TPM, public tpm2.TPMTPublic, byPolicy bool) error {
	loaded, err := tpm2.LoadExternal{InPublic: tpm2.New2B(public), Hierarchy: tpm2.TPMRHEndorsement}.Execute(src.t)
	if err != nil {
		return err
	}
	defer tpm2.FlushContext{FlushHandle: loaded.ObjectHandle}.Execute(src.t)
	made, err := tpm2.MakeCredential{Handle: src.eks[0].handle, Credential: tpm2.TPM2BDigest{Buffer: []byte("secret")}, ObjectName: loaded.Name}.Execute(src.t)
	if err != nil {
		return err
	}
	ek, closeEK, err := tpm2.PolicySession(src.t, tpm2.TPMAlgSHA256, 16)
	if err != nil {
		return err
	}
	defer closeEK()
	if _, err := (tpm2.PolicySecret{
		AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		PolicySession: ek.Handle(), NonceTPM: ek.NonceTPM(),
	}).Execute(src.t); err != nil {
		return err
	}
	auth := tpm2.PasswordAuth(nil)
	if byPolicy {
		own, closeOwn, err := tpm2.PolicySession(src.t, tpm2.TPMAlgSHA256, 16)
		if err != nil {
			return err
		}
		defer closeOwn()
		if _, err := (tpm2.PolicyCommandCode{PolicySession: own.Handle(), Code: tpm2.TPMCCActivateCredential}).Execute(src.t); err != nil {
			return err
		}
		auth = own
	}
	_, err = tpm2.ActivateCredential{
		ActivateHandle: tpm2.AuthHandle{Handle: loaded.ObjectHandle, Name: loaded.Name, Auth: auth},
		KeyHandle:      src.eks[0].auth(ek), CredentialBlob: made.CredentialBlob, Secret: made.Secret,
	}.Execute(src.t)
	return err
}
