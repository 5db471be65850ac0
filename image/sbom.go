// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"strings"
)

// The bill of materials is CycloneDX 1.6 (ECMA-424), with the fields that say
// something here. It has no time in it, and its serial number is made of its
// content.
type (
	bom struct {
		Format       string          `json:"bomFormat"`
		SpecVersion  string          `json:"specVersion"`
		SerialNumber string          `json:"serialNumber"`
		Version      int             `json:"version"`
		Metadata     bomMetadata     `json:"metadata"`
		Components   []bomComponent  `json:"components"`
		Dependencies []bomDependency `json:"dependencies"`
	}
	bomMetadata struct {
		Component bomComponent `json:"component"`
	}
	bomComponent struct {
		Type       string        `json:"type"`
		Ref        string        `json:"bom-ref"`
		Name       string        `json:"name"`
		Version    string        `json:"version,omitempty"`
		Hashes     []bomHash     `json:"hashes,omitempty"`
		Licenses   []bomLicense  `json:"licenses,omitempty"`
		PURL       string        `json:"purl,omitempty"`
		Properties []bomProperty `json:"properties,omitempty"`
	}
	bomHash struct {
		Alg     string `json:"alg"`
		Content string `json:"content"`
	}
	bomLicense struct {
		Expression string `json:"expression"`
	}
	bomProperty struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	bomDependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
)

// licences are the licences of what is linked into the Keep runtime, as SPDX
// expressions. A module that is not listed is named without one.
var licences = map[string]string{
	"std":                                           "BSD-3-Clause",
	"github.com/fxamacker/cbor/v2":                  "MIT",
	"github.com/google/go-configfs-tsm":             "Apache-2.0",
	"github.com/google/go-tpm":                      "Apache-2.0",
	"github.com/hashicorp/yamux":                    "MPL-2.0",
	"github.com/landlock-lsm/go-landlock":           "MIT",
	"github.com/tetratelabs/wazero":                 "Apache-2.0",
	"github.com/x448/float16":                       "MIT",
	"go.uber.org/multierr":                          "MIT",
	"golang.org/x/crypto":                           "BSD-3-Clause",
	"golang.org/x/crypto/x509roots/fallback":        "BSD-3-Clause",
	"golang.org/x/sys":                              "BSD-3-Clause",
	"kernel.org/pub/linux/libs/security/libcap/psx": "BSD-3-Clause OR GPL-2.0-only",
}

// Licences of the packages, of which the copyright files have the details.
const (
	kernelLicence = "GPL-2.0-only WITH Linux-syscall-note"
	stubLicence   = "LGPL-2.1-or-later"
)

func license(expression string) []bomLicense {
	if expression == "" {
		return nil
	}
	return []bomLicense{{expression}}
}

func hashes(sha256 string) []bomHash { return []bomHash{{"SHA-256", sha256}} }

// purl escapes what a package URL gives a meaning of its own.
func purl(format string, args ...string) string {
	var escaped []any
	for _, a := range args {
		escaped = append(escaped, strings.NewReplacer("+", "%2B", ":", "%3A", "@", "%40").Replace(a))
	}
	return fmt.Sprintf(format, escaped...)
}

// sbom makes the bill of materials of what has been built so far.
func (b *builder) sbom() error {
	m := &b.c.Manifest
	doc := bom{Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata: bomMetadata{bomComponent{Type: "operating-system", Ref: "image", Name: "enarx-keep-image", Version: m.Release}}}
	var parts []string
	add := func(c bomComponent, dependsOn ...string) {
		doc.Components = append(doc.Components, c)
		doc.Dependencies = append(doc.Dependencies, bomDependency{c.Ref, dependsOn})
	}
	for _, in := range m.Inputs {
		parts = append(parts, in.Name)
		switch in.Name {
		case InputKeep:
			modules := b.goModules()
			var refs []string
			for _, c := range modules {
				refs = append(refs, c.Ref)
			}
			add(bomComponent{Type: "application", Ref: in.Name, Name: "keep", Version: m.Release, Hashes: hashes(in.SHA256), Licenses: license("Apache-2.0")}, refs...)
			for _, c := range modules {
				add(c)
			}
		case InputKernel:
			drivers := b.drivers()
			var refs []string
			for _, c := range drivers {
				refs = append(refs, c.Ref)
			}
			add(debComponent(in, "operating-system", kernelLicence), refs...)
			for _, c := range drivers {
				add(c)
			}
		case InputStub:
			add(debComponent(in, "firmware", stubLicence))
		}
	}
	doc.Dependencies = append(doc.Dependencies, bomDependency{"image", parts})
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	doc.SerialNumber = serial(text)
	if text, err = json.MarshalIndent(doc, "", "  "); err != nil {
		return err
	}
	b.add(FileSBOM, append(text, '\n'))
	b.step("sbom", "%d components", len(doc.Components))
	return nil
}

func debComponent(in Input, kind, licence string) bomComponent {
	return bomComponent{Type: kind, Ref: in.Name, Name: in.Package, Version: in.Version, Hashes: hashes(in.SHA256),
		Licenses: license(licence), PURL: purl("pkg:deb/debian/%s@%s?arch=amd64", in.Package, in.Version)}
}

// goModules are the Go modules that the Keep runtime says it is made of.
func (b *builder) goModules() []bomComponent {
	info, err := buildinfo.Read(bytes.NewReader(b.Keep))
	if err != nil {
		return nil // not a Go program: nothing is known of what is in it
	}
	std := strings.TrimPrefix(info.GoVersion, "go")
	all := []bomComponent{{Type: "library", Ref: "go:std", Name: "std", Version: std, Licenses: license(licences["std"]), PURL: purl("pkg:golang/std@%s", std)}}
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		c := bomComponent{Type: "library", Ref: "go:" + d.Path, Name: d.Path, Version: d.Version,
			Licenses: license(licences[d.Path]), PURL: purl("pkg:golang/%s@%s", d.Path, d.Version)}
		if d.Sum != "" {
			c.Properties = []bomProperty{{"go:sum", d.Sum}}
		}
		all = append(all, c)
	}
	return all
}

// drivers are the kernel modules.
func (b *builder) drivers() []bomComponent {
	var all []bomComponent
	for i, name := range b.c.Manifest.Modules {
		all = append(all, bomComponent{Type: "device-driver", Ref: "module:" + name, Name: name, Version: b.kp.release,
			Hashes: hashes(Digest(b.modules[i].data)), Licenses: license(kernelLicence)})
	}
	return all
}

// serial makes the serial number, a UUID of version 8 (RFC 9562, section 5.8).
func serial(text []byte) string {
	d := sha256.Sum256(text)
	d[6], d[8] = d[6]&0x0f|0x80, d[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", d[:4], d[4:6], d[6:8], d[8:10], d[10:16])
}
