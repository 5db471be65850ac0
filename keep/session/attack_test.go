// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
)

// An owner's proof is good on the connection that it was made for, and by the
// key that claimed the Keep.
func TestOwnerProofIsForOneConnection(t *testing.T) {
	owner, err := NewOwnerKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewOwnerKey()
	if err != nil {
		t.Fatal(err)
	}
	pub := owner.Public()
	c1, k1, _, _ := sessions(t)
	_, k2, _, _ := sessions(t)
	proof, err := owner.Prove(c1.State())
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.CheckProof(k1.State(), proof); err != nil {
		t.Errorf("on its own connection: %v", err)
	}
	if pub.CheckProof(k2.State(), proof) == nil {
		t.Error("a proof was accepted on another connection")
	}
	foreign, err := other.Prove(c1.State())
	if err != nil {
		t.Fatal(err)
	}
	if pub.CheckProof(k1.State(), foreign) == nil {
		t.Error("a proof by another key was accepted")
	}
	for i := range proof.Signature {
		bad := OwnerProof{bytes.Clone(proof.Signature)}
		bad.Signature[i] ^= 1
		if pub.CheckProof(k1.State(), bad) == nil {
			t.Fatalf("a proof with byte %d changed was accepted", i)
		}
	}
	if pub.CheckProof(k1.State(), OwnerProof{}) == nil {
		t.Error("no signature at all was accepted")
	}
	if (&Owner{}).CheckProof(k1.State(), proof) == nil {
		t.Error("an owner without a key accepted a proof")
	}
}

func TestOwnerKeyIsNotPrinted(t *testing.T) {
	k, _, _ := testOwner(t)
	for _, f := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(f, k); s != "owner key (redacted)" {
			t.Errorf("%s prints %q", f, s)
		}
	}
	for _, bad := range [][2][]byte{{nil, nil}, {make([]byte, 31), make([]byte, 32)}, {make([]byte, 32), make([]byte, 31)}} {
		if _, err := ParseOwnerKey(bad[0], bad[1]); err == nil {
			t.Errorf("a key of %d and %d bytes was accepted", len(bad[0]), len(bad[1]))
		}
	}
}

func TestSecretsAreForOneBundleAndOneClaim(t *testing.T) {
	key, digest := bytes.Repeat([]byte{1}, 32), [32]byte{2}
	values := map[string][]byte{"a": []byte("value"), "b": {}}
	sealed, err := SealSecrets(key, digest, values)
	if err != nil {
		t.Fatal(err)
	}
	got, err := OpenSecrets(key, digest, sealed)
	if err != nil || len(got) != 2 || string(got["a"]) != "value" {
		t.Fatalf("opened %v, %v", got, err)
	}
	if _, err := OpenSecrets(bytes.Repeat([]byte{9}, 32), digest, sealed); err == nil {
		t.Error("another claim's key opened them")
	}
	if _, err := OpenSecrets(key, [32]byte{3}, sealed); err == nil {
		t.Error("they opened for another bundle")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := OpenSecrets(key, digest, bad); err == nil {
			t.Fatalf("secrets with byte %d changed were accepted", i)
		}
	}
	for n := range sealed {
		if _, err := OpenSecrets(key, digest, sealed[:n]); err == nil {
			t.Fatalf("the first %d bytes were accepted", n)
		}
	}
	if _, err := SealSecrets(key[:16], digest, values); err == nil {
		t.Error("a short key was accepted")
	}
	if _, err := SealSecrets(key, digest, map[string][]byte{"a": make([]byte, maxSecrets)}); err == nil {
		t.Error("secrets that no message can carry were sealed")
	}
	if _, err := OpenSecrets(key, digest, make([]byte, maxSecrets+1)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too many bytes: %v", err)
	}
	again, err := SealSecrets(key, digest, values)
	if err != nil || bytes.Equal(again, sealed) {
		t.Errorf("sealing twice gives the same bytes, %v", err)
	}
}

func TestRecordIsBoundToOwnerAndKeep(t *testing.T) {
	owner, _, _ := testOwner(t)
	pub := owner.Public()
	chanPub, channel, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := SealRecord(&EndRecord{Digest: make([]byte, 32), Exit: Exit{End: EndExit}}, channel, &pub)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(sealed); i += 41 {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := owner.OpenRecord(bad, chanPub); err == nil {
			t.Fatalf("a record with byte %d changed was accepted", i)
		}
	}
	for _, n := range []int{0, 1, 1119, 1120, 1136, len(sealed) - 1} {
		if _, err := owner.OpenRecord(sealed[:n], chanPub); err == nil {
			t.Fatalf("the first %d bytes were accepted", n)
		}
	}
	otherPub, _, _ := ed25519.GenerateKey(nil)
	for _, k := range []ed25519.PublicKey{otherPub, nil, {}} {
		if _, err := owner.OpenRecord(sealed, k); err == nil {
			t.Error("a record was accepted under a key that did not sign it")
		}
	}
	// An owner with the same sealing key and another signing key is another
	// owner.
	mixed, err := NewOwnerKey()
	if err != nil {
		t.Fatal(err)
	}
	mixed.seal = owner.seal
	if _, err := mixed.OpenRecord(sealed, chanPub); err == nil {
		t.Error("a record opened for another owner key hash")
	}
	if _, err := owner.OpenRecord(make([]byte, MaxSealedRecord+1), chanPub); err == nil {
		t.Error("more than the largest record was taken")
	}
}
