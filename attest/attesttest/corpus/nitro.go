// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

const nitroDir = "attest/internal/nitrodoc/testdata/"

// nitroRows are the documents, each at its own time; they bring their chains.
// Files are named without ".cbor".
var nitroRows = []row{
	{file: "enclave-2025-12", at: "2025-12-25T13:15:37Z"},
	{file: "enclave-2022-10-pcr8-nonce", at: "2022-10-13T08:58:02Z"},
	{file: "nitrotpm-2026-02", at: "2026-02-03T10:12:02Z"},
	{file: "enclave-2025-12-debug", at: "2025-12-25T08:20:46Z", fails: "debug", reasons: "debug"},
	{file: "enclave-2023-09-debug-userdata", at: "2023-09-18T15:03:30Z", fails: "debug", reasons: "debug"},
	{file: "enclave-2021-09-debug", at: "2021-09-09T10:19:20Z", fails: "debug", reasons: "debug"},
	{file: "enclave-2024-08-debug-all-fields", at: "2024-08-16T09:11:49Z", fails: "debug", reasons: "debug"},
	{file: "enclave-2025-12", note: "before it was made", at: "2025-12-25T13:15:30Z", fails: "dates time", reasons: "certificate-not-yet-valid inconsistent-dates"},
	{file: "enclave-2025-12", note: "a day later", at: "2025-12-26T13:15:37Z", fails: "dates", reasons: "certificate-expired"},
	{file: "enclave-2021-09-debug", note: "a second before its certificate", at: "2021-09-09T10:19:19Z", fails: "dates debug", reasons: "certificate-not-yet-valid debug"},

	// Damaged by who published them.
	{file: "bad-2021-09-signature", at: "2021-09-09T10:19:20Z", fails: "signature debug", reasons: "bad-signature debug"},
	{file: "bad-2021-09-certificate", at: "2021-09-09T10:19:20Z", fails: "chain dates revocation signature time debug", reasons: "broken-chain not-checked not-checked not-checked not-checked debug"},
	{file: "enclave-2025-12.framed.bin", at: "2025-12-25T13:15:37Z", fails: "format", reasons: "format"},
}

func nitroVectors(t testing.TB, root string) (out []Vector) {
	t.Helper()
	for _, r := range nitroRows {
		name := nitroDir + r.file
		if !strings.HasSuffix(name, ".bin") {
			name += ".cbor"
		}
		v := r.vector(t, attest.PlatformNitro)
		v.Parts = []Part{{name, attest.MediaTypeNitro, read(t, root, name)}}
		out = append(out, v)
	}
	return out
}
