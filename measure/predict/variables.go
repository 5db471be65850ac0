// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package predict

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The store of variables in OVMF's configuration volume (UEFI PI volume 3,
// section 3.2.1, and MdeModulePkg/Include/Guid/VariableFormat.h).
var guidVariableStore = newGUID(0xaaf32c78, 0x947b, 0x439a, 0xa1802e144ec37792)

const (
	volumeSignature    = 0x28 // "_FVH"
	volumeHeaderSize   = 0x30
	storeHeaderSize    = 28
	variableHeaderSize = 60
	variableStart      = 0x55aa
	variableAdded      = 0x3f // State of a variable that was not deleted
	maxVariables       = 256
)

// parseVariables reads the authenticated variables of a configuration volume:
// the data of PK, KEK, db and dbx by name, as far as they are there.
func parseVariables(cfv []byte) (map[string][]byte, error) {
	out := map[string][]byte{}
	le := binary.LittleEndian
	if len(cfv) < volumeHeaderSize+2 || !bytes.Equal(cfv[volumeSignature:volumeSignature+4], []byte("_FVH")) {
		return nil, fmt.Errorf("no firmware volume")
	}
	at := int(le.Uint16(cfv[volumeHeaderSize:]))
	if at+storeHeaderSize > len(cfv) || guid(cfv[at:at+16]) != guidVariableStore {
		return nil, fmt.Errorf("no store of authenticated variables at %#x", at)
	}
	size := uint64(le.Uint32(cfv[at+16:]))
	if size < storeHeaderSize || uint64(at)+size > uint64(len(cfv)) {
		return nil, fmt.Errorf("store of %d bytes at %#x of %d", size, at, len(cfv))
	}
	b := cfv[at+storeHeaderSize : at+int(size)]
	for n := 0; len(b) >= variableHeaderSize && le.Uint16(b) == variableStart; n++ {
		if n == maxVariables {
			return nil, fmt.Errorf("more than %d variables", maxVariables)
		}
		name, data := uint64(le.Uint32(b[36:])), uint64(le.Uint32(b[40:]))
		end := variableHeaderSize + name + data
		if end > uint64(len(b)) {
			return nil, fmt.Errorf("variable %d of %d bytes, of which %d are there", n, end, len(b))
		}
		if b[2] == variableAdded {
			space, text := guid(b[44:60]), b[variableHeaderSize:variableHeaderSize+name]
			for known, in := range map[string]guid{"PK": guidGlobal, "KEK": guidGlobal, "db": guidSecurity, "dbx": guidSecurity} {
				if space == in && bytes.Equal(text, utf16Text(known)) {
					out[known] = b[variableHeaderSize+name : end]
				}
			}
		}
		b = b[min(uint64(len(b)), (end+3)&^3):]
	}
	return out, nil
}
