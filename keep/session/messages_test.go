// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func ownerOf(b byte) Owner {
	return Owner{Sign: bytes.Repeat([]byte{b}, 32), Seal: bytes.Repeat([]byte{b + 1}, sealKeySize)}
}

// samples is one good value of each control message.
func samples() []any {
	return []any{
		&Hello{Version: Version},
		&Challenge{MediaType: "application/octet-stream", Value: []byte{1, 2, 3}},
		&Claim{Owner: ownerOf(1), TimeNS: 1_800_000_000_000_000_000, SecretsKey: make([]byte, 32)},
		&Refused{Code: CodeBusy, Text: "later"},
		&BundleHeader{Size: 1000, Digest: make([]byte, 32)},
		&Accepted{Digest: make([]byte, 32)},
		&Run{Detached: true, Publish: []Publish{{443, "127.0.0.1:8443"}}, Names: []string{"example.test"}, Evidence: true},
		&Running{IdentityCert: []byte{1}, Ports: []Port{{"web", 443, "[::]:443"}}, Engine: "wazero", Steps: []Step{{"compile", 5}}},
		&Exit{End: EndTrap, Code: 1, Reason: "unreachable", Trace: "main", Lost: 7},
		&OwnerProof{Signature: make([]byte, 64)},
		&Verb{Verb: VerbLogs, Follow: true},
		&Status{State: "running", Digest: make([]byte, 32), StartedNS: 1, NowNS: 2, OutputBytes: 3, LostBytes: 4, IdentityCert: []byte{1}},
		&EndRecord{Digest: make([]byte, 32), Exit: Exit{End: EndExit}, Log: []Chunk{{true, []byte("x")}}},
	}
}

func TestEveryMessageComesBack(t *testing.T) {
	for _, v := range samples() {
		b, err := Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		got := reflect.New(reflect.TypeOf(v).Elem()).Interface()
		if err := Decode(b, got); err != nil {
			t.Errorf("%T: %v", v, err)
		} else if !reflect.DeepEqual(v, got) {
			t.Errorf("%T: %+v came back as %+v", v, v, got)
		}
		for i := range b {
			if err := Decode(b[:i], reflect.New(reflect.TypeOf(v).Elem()).Interface()); err == nil {
				t.Errorf("%T: the first %d of %d bytes were accepted", v, i, len(b))
			}
		}
		if err := Decode(append(bytes.Clone(b), 0), reflect.New(reflect.TypeOf(v).Elem()).Interface()); err == nil {
			t.Errorf("%T: a trailing byte was accepted", v)
		}
	}
}

// FuzzDecode: for every control message, what is accepted is encoded to the
// same bytes again.
func FuzzDecode(f *testing.F) {
	kinds := samples()
	for i, v := range kinds {
		b, err := Encode(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
	}
	f.Fuzz(func(t *testing.T, kind uint8, in []byte) {
		v := reflect.New(reflect.TypeOf(kinds[int(kind)%len(kinds)]).Elem()).Interface()
		if Decode(in, v) != nil {
			return
		}
		out, err := Encode(v)
		if err != nil || !bytes.Equal(out, in) {
			t.Fatalf("%T: %x was accepted and is encoded as %x, %v", v, in, out, err)
		}
	})
}

func TestInvariant4HostileInputIsBounded_Messages(t *testing.T) {
	long := strings.Repeat("x", maxText+1)
	for _, v := range []any{
		&Hello{Version: 0}, &Hello{Version: 2}, &Challenge{Value: []byte{1}}, &Challenge{MediaType: "a/b", Value: make([]byte, maxChallenge+1)},
		&Claim{Owner: ownerOf(1), SecretsKey: make([]byte, 31)},
		&Claim{Owner: ownerOf(1), SecretsKey: make([]byte, 32), TimeNS: 1<<62 + 1},
		&Claim{Owner: Owner{Sign: make([]byte, 31), Seal: make([]byte, sealKeySize)}, SecretsKey: make([]byte, 32)},
		&Claim{Owner: Owner{Sign: make([]byte, 32), Seal: make([]byte, sealKeySize-1)}, SecretsKey: make([]byte, 32)},
		&Refused{Code: strings.Repeat("x", 65)}, &Refused{Text: long},
		&BundleHeader{Digest: make([]byte, 31)}, &Accepted{Digest: make([]byte, 33)},
		&Run{Publish: make([]Publish, maxPublish+1)}, &Run{Publish: []Publish{{Host: strings.Repeat("x", 257)}}},
		&Run{Names: make([]string, maxNames+1)}, &Run{Names: []string{""}}, &Run{Names: []string{strings.Repeat("x", 254)}},
		&Running{}, &Running{IdentityCert: make([]byte, maxCert+1)},
		&Running{IdentityCert: []byte{1}, Engine: strings.Repeat("x", maxName+1)},
		&Running{IdentityCert: []byte{1}, Steps: make([]Step, maxSteps+1)},
		&Running{IdentityCert: []byte{1}, Ports: make([]Port, maxPorts+1)},
		&Running{IdentityCert: []byte{1}, Ports: []Port{{Bound: long}}},
		&Exit{End: "else"}, &Exit{End: EndExit, Code: 1 << 32}, &Exit{End: EndExit, Reason: long}, &Exit{End: EndTrap, Trace: long},
		&OwnerProof{}, &OwnerProof{Signature: make([]byte, 65)},
		&Verb{}, &Verb{Verb: "else"},
		&Status{State: "empty"}, &Status{State: "running", Digest: make([]byte, 31)},
		&EndRecord{Exit: Exit{End: EndExit}}, &EndRecord{Digest: make([]byte, 32)},
	} {
		b, err := Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := Decode(b, reflect.New(reflect.TypeOf(v).Elem()).Interface()); err == nil {
			t.Errorf("accepted: %T %.60s", v, fmt.Sprintf("%+v", v))
		}
	}
}

// Texts that others chose fit into every message.
func TestTextFits(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("é", 3000), "\xff\xfe", strings.Repeat("\xff", 5000), "a" + strings.Repeat("é", 1024)} {
		got := Text(s)
		if !utf8.ValidString(got) || len(got) > maxText {
			t.Errorf("Text(%.10q) has %d bytes, valid %v", s, len(got), utf8.ValidString(got))
		}
		b, err := Encode(&Refused{Code: CodeSetup, Text: got})
		if err != nil {
			t.Fatal(err)
		}
		if err := Decode(b, &Refused{}); err != nil {
			t.Error(err)
		}
	}
	if Text("as it is\n") != "as it is\n" {
		t.Error("a short text was changed")
	}
}
