// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package quote

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/enarx/enarx-go/attest"
)

// tableEntry is an entry of the certificate table that a host gives along with
// an SNP report: GUID (16 bytes, in the order it is written in), offset and
// length (4 bytes each, little endian). An entry of zeros ends the table (GHCB
// specification 2.0, 4.1.8.1).
const tableEntry = 24

// tableTypes are the known GUIDs (GHCB specification 2.0, table 8, and AMD's
// sev-guest tools for the revocation list).
var tableTypes = map[string]string{
	"63da758de6644564adc5f4b93be8accd": attest.MediaTypeCertificate, // VCEK
	"a8074bc2a25a483eaae639c045a0b8a1": attest.MediaTypeCertificate, // VLEK
	"4ab7b379bbac4fe4a02f05aef327c782": attest.MediaTypeCertificate, // ASK or ASVK
	"c0b406a4a803495297433fb6014cd0ae": attest.MediaTypeCertificate, // ARK
	"92f81bc358114d3d97ffd19f88dc67ea": attest.MediaTypeCRL,
}

// certificateTable gives the entries of a certificate table that are of a known
// kind, as hints. Nothing about them is checked but where they lie.
func certificateTable(b []byte) (attest.Collateral, error) {
	var col attest.Collateral
	for i := 0; ; i++ {
		if i > maxTable {
			return nil, fmt.Errorf("certificate table: more than %d entries", maxTable)
		}
		if len(b) == 0 {
			return nil, nil // no table at all
		}
		if len(b) < (i+1)*tableEntry {
			return nil, fmt.Errorf("certificate table: %d bytes without an end of the table", len(b))
		}
		e := b[i*tableEntry : (i+1)*tableEntry]
		if [tableEntry]byte(e) == ([tableEntry]byte{}) {
			return col, nil
		}
		at, n := uint64(binary.LittleEndian.Uint32(e[16:])), uint64(binary.LittleEndian.Uint32(e[20:]))
		if at+n > uint64(len(b)) || n == 0 || n > attest.MaxHint {
			return nil, fmt.Errorf("certificate table: entry %d has bytes %d to %d of %d", i, at, at+n, len(b))
		}
		if t := tableTypes[hex.EncodeToString(e[:16])]; t != "" {
			col = append(col, attest.Evidence{MediaType: t, Value: b[at : at+n]})
		}
	}
}
