// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package appraisal

import (
	"strings"

	"github.com/enarx/enarx-go/attest"
)

// meanings say what each check is about, by its name without platform.
var meanings = map[string]string{
	"format":            "the bytes are read as the vendor's format, with nothing after them that nobody signed",
	"chain":             "the key that signed leads, certificate by certificate, to the vendor's root that is part of this program",
	"dates":             "everything that was used is valid at the time of the appraisal",
	"revocation":        "the vendor's lists name no certificate of the chain; a list that is missing or old could hide one",
	"signature":         "the hardware's key signed this very evidence; whoever changes a byte of it is found out",
	"qe-signature":      "the platform's certified key signed the report of the quoting enclave",
	"attestation-key":   "the quoting enclave speaks for the key that signed the quote",
	"qe-identity":       "the enclave that signed is Intel's quoting enclave, by Intel's signed description of it",
	"tcb-info":          "Intel's signed list of firmware levels for this platform model, by its FMSPC",
	"module":            "the TDX module, the firmware that keeps host and guest apart, is Intel's",
	"tcb":               "the firmware level: on snp that of the report is that of the certificate, on tdx and sgx what Intel says of it",
	"tcb-floor":         "the firmware level is not below what the relying party accepts",
	"tcb-launch":        "nor was it when the guest was started",
	"product":           "report and certificate speak of the same line of CPUs",
	"chip":              "the certificate was made for the very chip that the report names",
	"chip-list":         "the chip is on the relying party's list",
	"provider":          "a VLEK is of a cloud provider and not of a chip; this is whose",
	"measurement":       "a digest of what was started: firmware, kernel and file system, or the enclave's code",
	"signer":            "who signed the enclave, for which product and in which version",
	"debug":             "whether the host may read the guest's memory as a debugger",
	"migration":         "whether another machine may take over the guest's memory",
	"vmpl":              "the privilege level inside the guest that asked for the report; 0 is the most privileged",
	"host-data":         "bytes that the host fixed at the start, here the digest of the start configuration (HOST_DATA, MRCONFIGID, CONFIGID)",
	"report-data":       "bytes that the guest chose, which tie the evidence to a session or key",
	"attributes":        "properties of guest or enclave that the host chose; one that is not known is refused",
	"kss":               "key separation and sharing: without it an enclave has no CONFIGID",
	"sept-ve":           "the host cannot surprise the guest with exceptions by taking pages away",
	"smt":               "whether other work may share the guest's cores and observe it through them",
	"single-socket":     "whether the guest stays on one socket",
	"cxl":               "whether guest memory may lie on attached devices",
	"memory-xts":        "whether memory is encrypted with AES-256-XTS",
	"rapl":              "whether power metering, a side channel, is off",
	"ciphertext-hiding": "whether the host can read even the ciphertext of guest memory, which tells when it changes",
	"page-swap":         "whether the host may swap guest pages",
	"alias-check":       "whether the firmware has looked for memory that two addresses reach (AMD-SB-3015)",
	"abi":               "the firmware interface that the guest demands",
	"features":          "what the relying party demands of the guest's policy",
	"id-key":            "the key that signed the guest's ID block: who vouches for the guest",
	"author-key":        "the key that signed the ID key",
	"guest-svn":         "the guest's version, from its signed ID block",
	"mitigations":       "the vulnerabilities that firmware says it has mitigated, at launch and now",
	"rtmr3":             "a register that the guest extends while it runs",
	"xfam":              "the extended CPU features that the guest may use",
	"pks":               "supervisor protection keys",
	"kl":                "key locker",
	"owner":             "a field for the guest's owner that the host fixed at the start",
	"owner-config":      "a second one, for the owner's configuration",
	"mrtd":              "the digest of what the TD was started with, its firmware",
	"rtmr0":             "a register of the firmware's configuration",
	"rtmr1":             "a register of the kernel",
	"rtmr2":             "a register of the kernel's command line and first file system",
	"perfmon":           "performance monitoring by the guest itself",
	"lass":              "linear address space separation",
	"mrseam":            "the digest of the TDX module; it counts by its signer and level",
	"miscselect":        "what an enclave's exits record",
	"xfrm":              "the extended CPU features that the enclave may use",
	"ext-product-id":    "the product that the enclave's vendor says it is part of, ISVEXTPRODID",
	"family-id":         "the family of products that the enclave's vendor says it is part of, ISVFAMILYID",
	"config-svn":        "the version of the enclave's configuration, CONFIGSVN",
	"tcb-policy":        "what the relying party asks of firmware levels, which must be able to match",
	"tcb-floor-ahead":   "a floor that is not in force yet, and that this level is below",
	"tcb-launch-ahead":  "the same for the level at which the guest was started",
	"tcb-versions":      "the order in which firmware reports, commits and runs its levels",
	"image":             "names that the guest's owner gave to it in its ID block",
	"platform-info":     "how the machine is set up, of which some can be demanded by name",
	"platform-config":   "how the machine was set up when Intel certified its key",
	"collateral":        "entries of collateral that this evidence does not need",
	"event-log":         "the log of what was loaded leads, measured step by step, to the registers that the hardware signed",
	"time":              "the evidence's own time fits its certificate and is not in the future",
	"module-id":         "the instance or enclave, as the platform names it",
	"public-key":        "a key that the guest put into its evidence",
	"self-signature":    "whoever made the request holds the key in it",
	"not-read":          "parts of the wrapping that nothing here reads",
	"platform":          "the platforms that count here",

	"vtpm.chain":           "the TPM's own key leads, certificate by certificate, to a root that the relying party named; there is none in this program",
	"vtpm.revocation":      "the lists of the TPM's maker name no certificate of the chain; nobody fetches them here",
	"vtpm.signature":       "the attestation key signed this very quote; whoever changes a byte of it is found out",
	"vtpm.attestation-key": "the key that signed signs nothing but what its TPM has composed",
	"vtpm.activation":      "the attestation key lives in the TPM of the certificate, as that TPM shows by giving back an encrypted secret",
	"vtpm.pcrs":            "the values of the registers are those of which the quote has the digest",
	"vtpm.event-log":       "the firmware's list of what it started, and with what, adds up to the registers; the firmware itself is taken at its word",
	"vtpm.registers":       "nothing was measured that is no part of a Keep's boot",
	"vtpm.drivers":         "whether the firmware ran code of the host's, which can have changed the image after it was measured",
	"vtpm.secure-boot":     "whether the firmware started only what its keys have signed, as it says itself",
	"vtpm.measurement":     "a digest of the registers for kernel, initial file system and command line; not of the firmware",
	"vtpm.debug":           "whether this is a debug image, which shows its host what it does",
	"vtpm.host-data":       "the register into which a Keep measures its start configuration",
	"vtpm.claim":           "the register into which a Keep measures by whom it was claimed, which nobody can take back",
	"vtpm.report-data":     "bytes that the Keep chose, which tie the quote to a session",
	"vtpm.tpm-firmware":    "what the TPM says of itself; one in software can say the same",
	"vtpm.saved":           "whether anything but a person's word says that this is of a TPM",
	"vtpm.boot-events":     "what any such firmware measures around a boot",
	"vtpm.kernel":          "the kernel, as firmware and boot stub have measured it",
	"vtpm.initrd":          "the initial file system, as firmware and boot stub have measured it",
	"vtpm.command-line":    "the kernel's command line, as firmware and boot stub have measured it",
	"vtpm.uki":             "the whole of the unified kernel image, as the firmware has measured it",
}

// Meaning says what a check is about, in one sentence; empty if it is not
// known. The name may have a platform and the number of a piece before it.
func Meaning(check string) string {
	for name := check; ; {
		if strings.HasPrefix(name, "pcr") {
			return "a platform configuration register: a digest of a part of what was loaded"
		}
		if strings.HasPrefix(name, "uki-section-") {
			return "a section of the unified kernel image, as its boot stub has measured it"
		}
		if m := meanings[name]; m != "" {
			return m
		}
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			return ""
		}
		name = rest
	}
}

// Explain is [Result.Text] with the meaning of every check.
func (res *Result) Explain(width int) string {
	var b strings.Builder
	b.WriteString(res.head(width) + "\n")
	for _, r := range res.Rows {
		b.WriteString(attest.Verdict{r}.Text(width))
		if m := Meaning(r.Check); m != "" {
			b.WriteString(attest.Wrap(m, "    about: ", width))
		}
		if r.Outcome == attest.Pass || r.Outcome == attest.Simulated {
			b.WriteString(attest.Wrap(r.Expected+" ("+r.Source+")", "    expected: ", width))
		}
	}
	return b.String() + res.tail(width)
}
