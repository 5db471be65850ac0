// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/enarx/enarx-go/attest/internal/dcap"
)

const (
	specQuote3 = "Intel SGX ECDSA Quote Library Reference, appendix A"
	specQuote4 = "Intel TDX DCAP Quoting Library API, appendix A"
	specEnclav = `Intel SDM volume 3D, "REPORT"`
	specTD     = "Intel TDX Module ABI, TDREPORT_STRUCT and TDINFO_STRUCT"
)

// tdAttributes are the bits of TDATTRIBUTES.
var tdAttributes = []bit{
	{0, "DEBUG", "The host may read and write the TD's memory and registers: nothing in it is secret.", "The host cannot debug the TD."},
	{4, "HGS_PLUS_PROF", "The host's scheduler may profile the TD.", ""},
	{5, "PERF_PROF", "The host may profile the TD with performance counters.", ""},
	{6, "PMT_PROF", "The host may profile the TD with platform telemetry.", ""},
	{27, "LASS", "Linear address space separation is on.", ""},
	{28, "SEPT_VE_DISABLE", "Pages that the host takes away end the TD instead of raising an exception in it.",
		"Pages that the host takes away raise an exception in the TD, which the host can use to disturb it."},
	{29, "MIGRATABLE", "A migration TD may move this TD to another machine.", "The TD stays on its machine."},
	{30, "PKS", "The TD may use supervisor protection keys.", ""},
	{31, "KL", "The TD may use Key Locker.", ""},
	{62, "TPA", "The TD is a TDX Connect provisioning agent.", ""},
	{63, "PERFMON", "The TD may use performance counters.", ""},
}

// enclaveFlags are the flags of ATTRIBUTES.
var enclaveFlags = []bit{
	{0, "INIT", "The enclave was initialised.", "The enclave was never initialised."},
	{1, "DEBUG", "The host may read and write the enclave's memory: nothing in it is secret.", "The host cannot debug the enclave."},
	{2, "MODE64BIT", "The enclave runs in 64-bit mode.", "The enclave runs in 32-bit mode."},
	{4, "PROVISION_KEY", "The enclave may derive the provisioning key, which names the platform.", ""},
	{5, "EINITTOKEN_KEY", "The enclave may derive the key that launches others.", ""},
	{6, "CET", "Control-flow enforcement is on.", ""},
	{7, "KSS", "Key separation and sharing is on: CONFIGID and its like count.", "Without key separation and sharing, CONFIGID and its like are zero."},
	{10, "AEXNOTIFY", "The enclave is told when it was interrupted.", ""},
}

// xsaveFeatures are the states of XFAM and XFRM.
var xsaveFeatures = map[int]string{0: "x87", 1: "SSE", 2: "AVX", 5: "AVX-512 masks", 6: "AVX-512 upper", 7: "AVX-512 high", 8: "PT", 9: "PKRU",
	11: "CET user", 12: "CET supervisor", 14: "user interrupts", 15: "LBR", 17: "AMX configuration", 18: "AMX data"}

func features(v uint64) string {
	var names []string
	for n := range 64 {
		if v>>n&1 == 0 {
			continue
		}
		if name := xsaveFeatures[n]; name != "" {
			names = append(names, name)
		} else {
			names = append(names, fmt.Sprintf("bit %d", n))
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// group makes one field of those that f adds.
func (c *cursor) group(name, meaning string, f func()) {
	from, at := len(c.out), c.at
	f()
	parts := append([]Field(nil), c.out[from:]...)
	c.out = append(c.out[:from], Field{Name: name, Offset: at, Size: c.at - at, Meaning: meaning, Spec: c.spec, Fields: parts})
}

// describeQuote describes an ECDSA quote.
func describeQuote(b []byte) (*Description, error) {
	if len(b) < quoteHeader {
		return nil, malformed("a quote", "%d bytes, expected a header of %d", len(b), quoteHeader)
	}
	version, tee := le(b[:2]), le(b[4:8])
	if version < 3 || version > 5 || tee != 0 && tee != uint64(dcap.TDX) {
		return nil, malformed("a quote", "version %d of TEE type %#x, expected version 3 to 5 of SGX (0) or TDX (0x81)", version, tee)
	}
	d := &Description{Kind: strings.ToLower(dcap.TEE(tee).String()) + "-quote", Title: fmt.Sprintf("%v quote, version %d", dcap.TEE(tee), version)}
	q, err := dcap.ParseQuote(b)
	if err != nil {
		d.note("A verifier will refuse it: %v.", err)
	} else if !zero(q.Trailing) {
		d.note("%d bytes follow the quote, which nobody signed; a verifier will refuse them.", len(q.Trailing))
	} else if n := len(q.Trailing); n > 0 {
		d.note("%d zero bytes follow the quote, as some hosts pad it.", n)
	}
	c := &cursor{b: b, spec: specQuote4}
	if version == 3 {
		c.spec = specQuote3
	}
	c.quoteHeader(version)
	c.quoteBody(version, tee)
	if n, ok := c.number("signature data length", 4, "Size of all that follows."); ok {
		if rest := len(b) - c.at; n < uint64(rest) {
			c.b = b[:c.at+int(n)]
		}
		c.signatureData(version)
	}
	if c.short != "" {
		d.note("It ends within %s.", c.short)
	}
	d.Fields = c.out
	return d, nil
}

func (c *cursor) quoteHeader(version uint64) {
	c.group("header", "What kind of quote it is; signed with the body.", func() {
		c.number("version", 2, "Version of the format: 3 is SGX only, 4 adds TDX, 5 adds body types.")
		c.number("attestation key type", 2, "2 is ECDSA over P-256, the only one in use.")
		if version == 3 {
			c.skip(4)
			c.number("QE SVN", 2, "Version of the quoting enclave as the host says; the signed one is in the QE report.")
			c.number("PCE SVN", 2, "Version of the provisioning certification enclave as the host says; the signed one is in the PCK certificate.")
		} else {
			c.number("TEE type", 4, "0 is SGX, 129 (0x81) is TDX.")
			c.skip(4)
		}
		if v := c.raw("QE vendor id", 16, "Who made the quoting enclave."); bytes.Equal(v, intelQE) {
			c.last().Meaning = "Who made the quoting enclave: Intel."
		}
		c.raw("user data", 20, "Names the quoting enclave on this platform; it protects nothing.")
	})
}

func (c *cursor) quoteBody(version, tee uint64) {
	kind := uint64(1)
	if tee != 0 {
		kind = 2
	}
	if version == 5 {
		kind, _ = c.number("body type", 2, "1 is an SGX report, 2 a TD report of TDX 1.0, 3 one of TDX 1.5.")
		c.number("body size", 4, "Size of the report that follows.")
	}
	outer := c.spec
	defer func() { c.spec = outer }()
	switch {
	case c.short != "":
	case kind == 1:
		c.spec = specEnclav
		c.group("enclave report", "What the CPU says of the enclave.", func() { c.enclave(false) })
	case kind == 2, kind == 3:
		c.spec = specTD
		c.group("TD report", "What the TDX module says of the trust domain.", func() { c.td(kind == 3) })
	default:
		c.short = fmt.Sprintf("a body of unknown type %d", kind)
	}
}

// enclave describes the body of an SGX report, of the enclave or of the QE.
func (c *cursor) enclave(qe bool) {
	c.raw("CPUSVN", 16, "Security level of CPU and microcode; comparable only within one CPU model.")
	c.raw("MISCSELECT", 4, "What the CPU writes out when the enclave faults.")
	c.skip(12)
	c.raw("ISVEXTPRODID", 16, "Extended product number that the enclave's signer gave.")
	if a := c.take("ATTRIBUTES", 16); a != nil {
		flags, xfrm := le(a[:8]), le(a[8:])
		f := c.add("ATTRIBUTES", 16, fmt.Sprintf("flags %#x, XFRM %#x", flags, xfrm), "How the enclave runs.")
		f.Fields = append(bits(flags, `Intel SDM volume 3D, "ATTRIBUTES"`, enclaveFlags),
			Field{Name: "XFRM", Offset: c.at - 8, Size: 8, Value: features(xfrm), Meaning: "CPU features that the enclave may use.", Spec: c.spec})
	}
	c.raw("MRENCLAVE", 32, "SHA-256 digest of the enclave as it was built: compare it with a release that you know.")
	c.skip(32)
	c.raw("MRSIGNER", 32, "SHA-256 digest of the key that signed the enclave.")
	c.skip(32)
	c.raw("CONFIGID", 64, "Start configuration that the host chose; needs KSS.")
	c.number("ISVPRODID", 2, "Product number that the enclave's signer gave.")
	c.number("ISVSVN", 2, "Security version that the enclave's signer gave.")
	c.number("CONFIGSVN", 2, "Version of the start configuration.")
	c.skip(42)
	c.raw("ISVFAMILYID", 16, "Family of products that the enclave's signer gave.")
	meaning := "64 bytes that the enclave chose: a nonce or the hash of a key ties the quote to a conversation."
	if qe {
		meaning = "SHA-256 digest of attestation key and authentication data: ties the key below to this quoting enclave."
	}
	if b := c.raw("REPORTDATA", 64, meaning); b != nil && !qe {
		if t := printable(b); t != "" {
			c.last().Fields = []Field{{Name: "as text", Value: t}}
		}
	}
}

// td describes the body of a TD report.
func (c *cursor) td(v15 bool) {
	svn := func(name, meaning string) {
		if b := c.raw(name, 16, meaning); b != nil {
			c.last().Fields = []Field{
				{Name: "module SVN", Offset: c.at - 16, Size: 1, Value: fmt.Sprint(b[0]), Meaning: "Security version of the TDX module.", Spec: specTD},
				{Name: "module version", Offset: c.at - 15, Size: 1, Value: fmt.Sprint(b[1]), Meaning: "Major version of the TDX module: 1 is TDX_01, 3 is TDX_03; 0 counts by the platform's TCB levels alone.", Spec: specTD},
				{Name: "microcode SVN", Offset: c.at - 14, Size: 1, Value: fmt.Sprint(b[2]), Meaning: "Security version of the SEAM loader and microcode.", Spec: specTD},
			}
		}
	}
	svn("TEE_TCB_SVN", "Level of the TDX module that started the TD.")
	c.raw("MRSEAM", 48, "SHA-384 digest of the TDX module.")
	c.raw("MRSIGNERSEAM", 48, "Signer of the TDX module; zero is Intel.")
	c.raw("SEAMATTRIBUTES", 8, "Attributes of the TDX module; zero for one in production.")
	if b := c.take("TDATTRIBUTES", 8); b != nil {
		c.add("TDATTRIBUTES", 8, fmt.Sprintf("%#x", le(b)), "What the host may do to the TD.").Fields = bits(le(b), `Intel TDX Module ABI, "TD_ATTRIBUTES"`, tdAttributes)
	}
	if b := c.take("XFAM", 8); b != nil {
		c.add("XFAM", 8, fmt.Sprintf("%#x (%s)", le(b), features(le(b))), "CPU features that the TD may use.")
	}
	c.raw("MRTD", 48, "SHA-384 digest of the TD's first memory, in practice its firmware: compare it with a release that you know.")
	c.raw("MRCONFIGID", 48, "Start configuration that the host chose.")
	c.raw("MROWNER", 48, "Owner that the host named.")
	c.raw("MROWNERCONFIG", 48, "Configuration of the owner that the host named.")
	c.raw("RTMR0", 48, "Register that the firmware extends, in practice with its own configuration; an event log says with what.")
	c.raw("RTMR1", 48, "Register that the firmware extends, in practice with the boot loader and kernel.")
	c.raw("RTMR2", 48, "Register that the boot loader extends, in practice with the kernel's command line and initial file system.")
	c.raw("RTMR3", 48, "Register for the TD's own use while it runs.")
	if b := c.raw("REPORTDATA", 64, "64 bytes that the TD chose: a nonce or the hash of a key ties the quote to a conversation."); b != nil {
		if t := printable(b); t != "" {
			c.last().Fields = []Field{{Name: "as text", Value: t}}
		}
	}
	if v15 {
		svn("TEE_TCB_SVN2", "Level of the TDX module that runs now; newer than the one above if the module was updated while the TD ran.")
		c.raw("MRSERVICETD", 48, "Service TDs, such as a migration TD, that are bound to this one; zero if there are none.")
	}
}

// signatureData describes what follows the body.
func (c *cursor) signatureData(version uint64) {
	c.raw("quote signature", 64, "ECDSA P-256 signature by the attestation key over header and body; not checked here.")
	c.raw("attestation key", 64, "Public key that signs quotes on this platform, made by the quoting enclave.")
	if version >= 4 {
		c.number("QE report certification data type", 2, "6: the quoting enclave's report, with what certifies it inside.")
		c.number("QE report certification data size", 4, "Size of all that follows.")
	}
	outer := c.spec
	c.spec = specEnclav
	c.group("QE report", "What the CPU says of the quoting enclave.", func() { c.enclave(true) })
	c.spec = outer
	c.raw("QE report signature", 64, "ECDSA P-256 signature by the platform's PCK over the QE report; not checked here.")
	if n, ok := c.number("QE authentication data size", 2, "Size of the authentication data."); ok && n > 0 {
		c.raw("QE authentication data", int(n), "Hashed into the QE report together with the attestation key.")
	}
	kind, _ := c.number("certification data type", 2, "What certifies the PCK.")
	if m := certificationTypes[kind]; m != "" && c.short == "" {
		c.last().Meaning = m
	}
	n, ok := c.number("certification data size", 4, "Size of the certification data.")
	if ok {
		c.certification(kind, int(min(n, uint64(len(c.b)+1))))
	}
}

var certificationTypes = map[uint64]string{
	1: "1: the platform's PPID in the clear; a PCK certificate has to come from elsewhere.",
	2: "2: the platform's PPID, encrypted for Intel (RSA-2048); a PCK certificate has to come from elsewhere.",
	3: "3: the platform's PPID, encrypted for Intel (RSA-3072); a PCK certificate has to come from elsewhere.",
	4: "4: the PCK certificate.",
	5: "5: the chain of the PCK certificate up to Intel's root.",
	7: "7: a platform manifest for registration; a PCK certificate has to come from elsewhere.",
}

// certification describes n bytes of certification data.
func (c *cursor) certification(kind uint64, n int) {
	switch {
	case kind >= 1 && kind <= 3 && n > 20:
		c.group("certification data", "Names the platform and its level.", func() {
			c.raw("PPID", n-20, "Name of the platform, encrypted unless the type is 1.")
			c.raw("CPUSVN", 16, "Security level of CPU and microcode.")
			c.number("PCE SVN", 2, "Version of the provisioning certification enclave.")
			c.raw("PCE id", 2, "Which provisioning certification enclave it is.")
		})
	case kind == 4 || kind == 5:
		at := c.at
		b := c.take("certification data", n)
		if b == nil {
			return
		}
		f := c.add("certification data", n, fmt.Sprintf("%d bytes of PEM", n), "Certificates; nothing about them is checked here.")
		blocks, err := splitPEM(b)
		if err != nil {
			f.Fields = []Field{{Name: "unreadable", Value: err.Error()}}
			return
		}
		for i, bl := range blocks {
			cd, err := describeCertificate(bl.data)
			if err != nil {
				f.Fields = append(f.Fields, Field{Name: fmt.Sprintf("certificate %d", i+1), Offset: at, Value: "unreadable: " + err.Error()})
				continue
			}
			f.Fields = append(f.Fields, Field{Name: fmt.Sprintf("certificate %d", i+1), Value: cd.Title, Fields: cd.Fields, Spec: specPCK})
		}
	default:
		c.raw("certification data", n, "Of a type that is not described here.")
	}
}
