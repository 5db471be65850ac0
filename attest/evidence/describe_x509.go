// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/enarx/enarx-go/attest/internal/snpreport"
)

const (
	specX509 = "RFC 5280"
	specPCK  = "Intel SGX PCK Certificate and CRL Profile Specification"
	specVCEK = "AMD 57230, X.509v3 extensions"
	// maxListed bounds the serial numbers of a revocation list that are shown.
	maxListed = 64
)

// text is a field that has no place of its own. Its value is text from outside.
func text(name, value, meaning, spec string) Field {
	if len(value) > maxText {
		value = value[:maxText] + "…"
	}
	return Field{Name: name, Value: value, Meaning: meaning, Spec: spec}
}

// dn writes a name for people, who want to see where its parts end.
func dn(n pkix.Name) string { return strings.ReplaceAll(n.String(), ",", ", ") }

func describeCertificate(der []byte) (*Description, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, malformed("a certificate", "%w", err)
	}
	d := &Description{Kind: "certificate", Title: "certificate of " + nameOf(c.Subject)}
	kind := "no authority: it may not issue certificates"
	if c.IsCA {
		kind = "an authority: it may issue certificates"
	}
	d.Fields = []Field{
		text("subject", dn(c.Subject), "Whom the certificate names.", specX509),
		text("issuer", dn(c.Issuer), "Who says so; not checked here.", specX509),
		text("serial number", c.SerialNumber.Text(16), "What a revocation list would name.", specX509),
		text("not before", date(c.NotBefore), "Before this the certificate does not count.", specX509),
		text("not after", date(c.NotAfter), "After this the certificate does not count.", specX509),
		text("key", keyText(c), "What the certificate vouches for.", specX509),
		text("signature algorithm", c.SignatureAlgorithm.String(), "How its issuer signed it.", specX509),
		text("authority", kind, "", specX509),
	}
	for _, e := range c.Extensions {
		if f, ok := amdExtension(e); ok {
			d.Fields = append(d.Fields, f)
		}
		if e.Id.Equal(oidIntelSDK) {
			d.Fields = append(d.Fields, pckExtension(e.Value)...)
		}
	}
	return d, nil
}

func nameOf(n pkix.Name) string {
	if n.CommonName == "" {
		return "nobody by name"
	}
	return shown(n.CommonName)
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func keyText(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d bits", k.N.BitLen())
	}
	return c.PublicKeyAlgorithm.String()
}

// amdExtensions are those of VCEK and VLEK.
var amdExtensions = []struct {
	id            asn1.ObjectIdentifier
	name, meaning string
}{
	{snpreport.OIDStructVersion, "structure version", "0 for Milan and Genoa, 1 for Turin: how the firmware level is laid out."},
	{snpreport.OIDProduct, "product", "Product line and stepping."},
	{snpreport.OIDFMC, "FMC", "Level that the key belongs to: first firmware that the security processor loads."},
	{snpreport.OIDBootloader, "boot loader", "Level that the key belongs to: boot loader of the security processor."},
	{snpreport.OIDTEE, "TEE", "Level that the key belongs to: operating system of the security processor."},
	{snpreport.OIDSNP, "SNP", "Level that the key belongs to: SNP firmware."},
	{snpreport.OIDMicrocode, "microcode", "Level that the key belongs to: microcode."},
	{snpreport.OIDHardwareID, "hardware id", "The chip that has the key: CHIP_ID of its reports."},
	{snpreport.OIDProvider, "provider", "The cloud provider that has the key."},
}

func amdExtension(e pkix.Extension) (Field, bool) {
	for _, x := range amdExtensions {
		if !e.Id.Equal(x.id) {
			continue
		}
		value := hex.EncodeToString(e.Value)
		if !x.id.Equal(snpreport.OIDHardwareID) {
			var n int
			var s string
			if rest, err := asn1.Unmarshal(e.Value, &n); err == nil && len(rest) == 0 {
				value = fmt.Sprint(n)
			} else if rest, err := asn1.Unmarshal(e.Value, &s); err == nil && len(rest) == 0 {
				value = s
			}
		} else if len(e.Value) > 64 {
			value = shown(value)
		}
		return Field{Name: x.name, Value: value, Meaning: x.meaning, Spec: specVCEK}, true
	}
	return Field{}, false
}

// pckNames are the attributes of the SGX extension of a PCK certificate, by
// the numbers below its own.
var pckNames = map[string][2]string{
	"1":    {"PPID", "Name of the platform, which stays the same for its life."},
	"2.17": {"PCESVN", "Version of the provisioning certification enclave: part of the platform's level."},
	"2.18": {"CPUSVN", "All components in the form in which the CPU has them."},
	"3":    {"PCEID", "Which provisioning certification enclave certified the platform."},
	"4":    {"FMSPC", "Model of the platform: which TCB info applies."},
	"5":    {"SGX type", "0 is standard, 1 scalable (memory without integrity against physical access), 2 scalable with integrity."},
	"6":    {"platform instance id", "Name of this platform since its last registration."},
	"7.1":  {"dynamic platform", "Whether packages can be added to the platform."},
	"7.2":  {"cached keys", "Whether Intel keeps the platform's root keys."},
	"7.3":  {"SMT enabled", "Whether cores run two threads."},
}

// pckExtension describes the SGX extension of a PCK certificate: pairs of an
// identifier and a value, within each other once.
func pckExtension(der []byte) []Field {
	list, err := exact(der, asn1.TagSequence)
	if err != nil {
		return nil // a quote under the same number
	}
	return pckPairs(list.Bytes, "", 0)
}

func pckPairs(der []byte, prefix string, depth int) []Field {
	pairs, err := elements(der)
	if err != nil || depth > 1 {
		return []Field{text("SGX extension", "unreadable", "", specPCK)}
	}
	var fs []Field
	for _, p := range pairs {
		var pair struct {
			ID    asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		if rest, err := asn1.Unmarshal(p.FullBytes, &pair); err != nil || len(rest) != 0 || len(pair.ID) == 0 {
			fs = append(fs, text("SGX extension", "unreadable", "", specPCK))
			continue
		}
		number := prefix + fmt.Sprint(pair.ID[len(pair.ID)-1])
		if pair.Value.Tag == asn1.TagSequence && pair.Value.Class == asn1.ClassUniversal {
			fs = append(fs, pckGroup(number, pckPairs(pair.Value.Bytes, number+".", depth+1)))
			continue
		}
		fs = append(fs, pckField(number, pair.Value))
	}
	return fs
}

// pckGroup makes one field of a nested list; the components of the TCB are
// shown in a row as well.
func pckGroup(number string, parts []Field) Field {
	f := Field{Name: "attribute " + number, Meaning: "Not known to this program.", Spec: specPCK, Fields: parts}
	switch number {
	case "2":
		f.Name, f.Meaning = "TCB", "Level of the platform that the key belongs to; TCB info says what is known of it."
		var row []string
		for _, p := range parts {
			if strings.HasPrefix(p.Name, "component ") {
				row = append(row, p.Value)
			}
		}
		f.Value = strings.Join(row, " ")
	case "7":
		f.Name, f.Meaning = "configuration", "How the platform is set up."
	}
	return f
}

func pckField(number string, v asn1.RawValue) Field {
	name := pckNames[number]
	var n int
	if _, err := fmt.Sscanf(number, "2.%d", &n); err == nil && n >= 1 && n <= 16 {
		name = [2]string{fmt.Sprintf("component %02d", n), ""}
	} else if name[0] == "" {
		name = [2]string{"attribute " + number, "Not known to this program."}
	}
	value := hex.EncodeToString(v.Bytes)
	switch v.Tag {
	case asn1.TagInteger, asn1.TagEnum:
		if len(v.Bytes) <= 4 {
			n := 0
			for _, b := range v.Bytes {
				n = n<<8 | int(b)
			}
			value = fmt.Sprint(n)
		}
	case asn1.TagBoolean:
		value = map[bool]string{false: "no", true: "yes"}[!zero(v.Bytes)]
	}
	return Field{Name: name[0], Value: shown(value), Meaning: name[1], Spec: specPCK}
}

func describeList(der []byte) (*Description, error) {
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, malformed("a revocation list", "%w", err)
	}
	d := &Description{Kind: "revocation list", Title: "revocation list of " + nameOf(l.Issuer)}
	number := ""
	if l.Number != nil {
		number = l.Number.Text(10)
	}
	d.Fields = []Field{
		text("issuer", dn(l.Issuer), "Whose certificates it revokes; not checked here.", specX509),
		text("number", number, "Counts the issuer's lists.", specX509),
		text("this update", date(l.ThisUpdate), "When it was made.", specX509),
		text("next update", date(l.NextUpdate), "After this a newer list has to be fetched.", specX509),
		text("revoked", fmt.Sprint(len(l.RevokedCertificateEntries)), "Number of certificates that no longer count.", specX509),
	}
	f := &d.Fields[len(d.Fields)-1]
	for i, r := range l.RevokedCertificateEntries {
		if i == maxListed {
			d.note("Only the first %d of %d revoked certificates are shown.", maxListed, len(l.RevokedCertificateEntries))
			break
		}
		f.Fields = append(f.Fields, text("serial "+shown(r.SerialNumber.Text(16)), date(r.RevocationTime), "", specX509))
	}
	return d, nil
}

// uniqueNames numbers fields whose names occur twice, so that paths are unique.
func uniqueNames(fs []Field) {
	seen := map[string]int{}
	for i := range fs {
		seen[fs[i].Name]++
		if n := seen[fs[i].Name]; n > 1 {
			fs[i].Name = fmt.Sprintf("%s (%d)", fs[i].Name, n)
		}
		uniqueNames(fs[i].Fields)
	}
}
