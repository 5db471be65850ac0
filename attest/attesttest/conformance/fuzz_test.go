// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/enarx/enarx-go/attest"
	"github.com/enarx/enarx-go/attest/attesttest/corpus"
	"github.com/enarx/enarx-go/attest/attesttest/verdicttest"
)

// The whole of a verification as one string of bytes: the platform, the time in
// seconds (8 bytes), and then part after part: its media type, its length (3
// bytes, all big-endian) and the bytes. A length that reaches beyond the end
// takes what is there.
var (
	framedPlatforms = []string{attest.PlatformSNP, attest.PlatformTDX, attest.PlatformSGX, attest.PlatformNitro}
	framedTypes     = []string{
		attest.MediaTypeSNP, attest.MediaTypeTDX, attest.MediaTypeSGX, attest.MediaTypeNitro, attest.MediaTypeCertificate, attest.MediaTypePEMChain,
		attest.MediaTypeCRL, attest.MediaTypeIntelTCBInfo, attest.MediaTypeIntelQEIdentity, "text/plain",
	}
)

// index finds a string; the last stands for all that are not there.
func index(list []string, s string) byte {
	for i, x := range list {
		if x == s {
			return byte(i)
		}
	}
	return byte(len(list) - 1)
}

func frame(v corpus.Vector) []byte {
	b := []byte{index(framedPlatforms, v.Platform)}
	b = binary.BigEndian.AppendUint64(b, uint64(v.At.Unix()))
	for _, p := range v.Parts {
		n := len(p.Value)
		b = append(b, index(framedTypes, p.MediaType), byte(n>>16), byte(n>>8), byte(n))
		b = append(b, p.Value...)
	}
	return b
}

// unframe makes a vector of any bytes, if there is at least one part.
func unframe(b []byte) (v corpus.Vector, ok bool) {
	if len(b) < 9+4 {
		return v, false
	}
	v.Platform = framedPlatforms[int(b[0])%len(framedPlatforms)]
	v.At = time.Unix(int64(binary.BigEndian.Uint64(b[1:])), 0).UTC()
	for b = b[9:]; len(b) >= 4; {
		n := min(int(b[1])<<16|int(b[2])<<8|int(b[3]), len(b)-4)
		v.Parts = append(v.Parts, corpus.Part{MediaType: framedTypes[int(b[0])%len(framedTypes)], Value: b[4 : 4+n : 4+n]})
		b = b[4+n:]
	}
	return v, true
}

// Memory that one verification may take: what the parsed form of its input
// needs, and a fixed part for the verdict.
const (
	perByte = 200
	atMost  = 4 << 20
)

// FuzzVerify throws bytes at whole verifications, evidence and collateral
// together, under the most lenient options: nothing panics, the verdict says
// everything, memory is bounded by the size of the input, inputs stay as they
// are, and what is accepted is what the hardware of some vector signed.
func FuzzVerify(f *testing.F) {
	genuine := map[string]bool{}
	caches := NewCaches()
	verifiers, lenient := map[string]attest.Verifier{}, attest.Expected{}
	for _, v := range corpus.Vectors(f) {
		f.Add(frame(v))
		if again, ok := unframe(frame(v)); !ok || len(again.Parts) != len(v.Parts) || !again.At.Equal(v.At) {
			f.Fatalf("%s: the frame does not hold it", v.Name)
		}
		genuine[signedPart(v.Parts[0])] = true
		if verifiers[v.Platform] == nil || v.Options.AcceptMissingCRL {
			verifiers[v.Platform] = Verifier(v, caches)
		}
		if v.Options.Statuses != nil {
			lenient = Expected(v)
		}
	}
	if len(genuine) < 40 || len(verifiers) != len(framedPlatforms) || lenient.TCB.Accept == nil {
		f.Fatalf("%d seeds of %d platforms: nothing would be shown", len(genuine), len(verifiers))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, ok := unframe(b)
		if !ok {
			return
		}
		before := bytes.Clone(b)
		var start, end runtime.MemStats
		runtime.ReadMemStats(&start)
		claims, verdict := verifiers[v.Platform].Verify(v.Evidence(), v.Collateral(), lenient, v.At)
		runtime.ReadMemStats(&end)
		if (claims != nil) != verdict.OK() {
			t.Fatalf("claims %v, verdict %v", claims != nil, verdict.Err())
		}
		verdicttest.Check(t, verdict)
		if spent := end.TotalAlloc - start.TotalAlloc; spent > uint64(perByte*len(b)+atMost) {
			t.Fatalf("%d bytes allocated for %d of input", spent, len(b))
		}
		if !bytes.Equal(before, b) {
			t.Fatal("the input was changed")
		}
		if claims != nil && !genuine[signedPart(v.Parts[0])] {
			t.Fatal("accepted what no hardware has signed")
		}
	})
}
