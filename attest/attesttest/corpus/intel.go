// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package corpus

import (
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/attest"
)

const intelDir = "attest/internal/dcap/testdata/"

// collateralFiles are the files of a set of collateral, by how their names end.
var collateralFiles = []struct{ glob, mediaType string }{
	{"tcb-signing-chain.pem", attest.MediaTypePEMChain},
	{"pck-*-ca-chain.pem", attest.MediaTypePEMChain},
	{"root.crl.der", attest.MediaTypeCRL},
	{"pck-*.crl.der", attest.MediaTypeCRL},
	{"tcbinfo.json", attest.MediaTypeIntelTCBInfo},
	{"qeidentity.json", attest.MediaTypeIntelQEIdentity},
}

// folder reads a set of collateral as Intel's service gives it.
func folder(t testing.TB, root, dir string) (parts []Part) {
	t.Helper()
	for _, f := range collateralFiles {
		names, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), f.glob))
		if err != nil || len(names) > 1 {
			t.Fatalf("%s in %s: %v, %v", f.glob, dir, names, err)
		}
		for _, n := range names {
			name := path.Join(dir, filepath.Base(n))
			parts = append(parts, Part{name, f.mediaType, read(t, root, name)})
		}
	}
	if len(parts) < 5 {
		t.Fatalf("%d files of collateral in %s", len(parts), dir)
	}
	return parts
}

// intelVector reads the quote of a row and its collateral: a folder, then
// single files that replace those of the same kind, or stand beside them if
// their name begins with "+", and names of kinds that are left out after "-".
func intelVector(t testing.TB, root string, r row, platform, mediaType string) Vector {
	t.Helper()
	v := r.vector(t, platform)
	name := r.file
	if !strings.HasSuffix(name, ".bin") {
		name += ".quote.bin"
	}
	name = intelDir + platform + "/" + name
	v.Parts = []Part{{name, mediaType, read(t, root, name)}}
	for i, c := range strings.Fields(r.collateral) {
		switch {
		case i == 0 && c == "2020":
			v.Parts = append(v.Parts, set2020(t, root)...)
			v.Name += " with 2020"
		case i == 0:
			v.Parts = append(v.Parts, folder(t, root, intelDir+platform+"/collateral/"+c)...)
			v.Name += " with " + c
		case strings.HasPrefix(c, "-"):
			v.Parts = drop(v.Parts, c[1:])
		default:
			c, beside := strings.CutPrefix(c, "+")
			p := Part{intelDir + c, kind(c), read(t, root, intelDir+c)}
			if !beside {
				v.Parts = drop(v.Parts, path.Base(c))
			}
			v.Parts = append(v.Parts, p)
		}
	}
	return v
}

// kind is the media type of a file of collateral.
func kind(name string) string {
	switch {
	case strings.HasSuffix(name, ".crl.der"):
		return attest.MediaTypeCRL
	case strings.HasSuffix(name, ".pem"):
		return attest.MediaTypePEMChain
	case strings.Contains(name, "qeidentity"):
		return attest.MediaTypeIntelQEIdentity
	default:
		return attest.MediaTypeIntelTCBInfo
	}
}

// drop leaves out the part that a file of this name would take the place of.
func drop(parts []Part, name string) (out []Part) {
	for i, p := range parts {
		base := path.Base(p.File)
		same := base == name
		switch {
		case strings.Contains(name, "root.crl"):
			same = base == "root.crl.der"
		case kind(name) == attest.MediaTypeIntelQEIdentity || kind(name) == attest.MediaTypeIntelTCBInfo:
			same = p.MediaType == kind(name)
		}
		if i == 0 || !same {
			out = append(out, p)
		}
	}
	return out
}
