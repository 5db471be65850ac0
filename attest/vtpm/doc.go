// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Package vtpm verifies the evidence of TPMs 2.0: that of Keeps in a virtual
// machine with UEFI and a TPM, and quotes that others have saved.
//
//	s := vtpm.NewSession(vtpm.Options{Roots: roots}, issuers, now, rand.Reader)
//	err := attest.Converse(s, evidence, exchange)        // credential activation
//	claims, verdict := s.Verify(evidence, issuers, expected, now)
//
// SPEC.md has the encoding of the evidence, of the conversation, and what the
// measurement is made of.
//
// # What it is worth
//
// A TPM tells what a machine has booted. That is all: whoever runs a virtual
// machine can read its memory and change it while it runs, TPM or not. So package
// policy does not count platform vtpm among the confidential ones, the trust
// statement says exposed of host and hypervisor, and the attestation result says
// that the memory is visible. Worth knowing what booted it is all the same: a
// wrong image, a debug image, a changed command line are found.
//
// What was booted, the firmware tells the TPM, and which firmware that is, nothing
// proves: PCR 0 is its own word, and no reference value of a release has it. One
// made to lie can report one boot and make another. [Options] can demand values
// of such registers.
//
// Nor does a quote prove hardware. A TPM in software (swtpm, a cloud's) signs as
// well as a chip; whoever runs it can make it say anything. The root that the
// user names is what tells them apart, and naming the CA of a software TPM is
// trusting its host.
//
// # What is checked
//
//   - format: the evidence is in its one encoding, and its structures are those
//     of the TPM specification, within limits;
//   - chain, dates: the endorsement certificate (EK Credential Profile: extended
//     key usage, key usage, no CA) leads to a root that was named, at the time of
//     the appraisal; its public area is that of the endorsement key. The critical
//     subject alternative name, which has the maker's id and model, is read; any
//     other critical extension that is not known refuses;
//   - revocation: by the lists that came along, or skipped, which the row says;
//   - attestation-key: a restricted signing key, fixed to its TPM, made in it,
//     that signs nothing but what the TPM composes; and the one the quote names;
//   - activation: the TPM of that certificate gave back a secret that was
//     encrypted to it and to the name of that attestation key;
//   - signature: of the quote, by the attestation key, SHA-256 or better;
//   - pcrs: the values are those that were quoted;
//   - event-log: replayed, it gives the quoted registers; each that it does not
//     is named, with the first event that is suspicious. Events whose digest is
//     that of their data have these data. Types, and what other events say of
//     themselves, are in no digest: nothing is concluded from them;
//   - registers: those that neither firmware nor Keep use are untouched;
//   - drivers: the firmware ran no driver beside its own (PCR 2), neither from a
//     device's memory nor because a boot variable named one: it could have
//     changed the image after that was measured. Machines that are not virtual
//     have such drivers: name the value of PCR 2 in [Options] for them;
//   - pcr0, pcr7, …: registers whose value [Options] demand;
//   - secure-boot: on, if [Options] demand it: by the variable that the firmware
//     has measured before the separator, whatever types the log gives to both;
//   - measurement: [Measurement] is a reference value, and the image is no debug
//     image (row debug). Where the reference value has components there are rows
//     for kernel, initrd, command-line and uki, so that a measurement that is
//     not accepted says which of them is another;
//   - host-data: PCR 14 was extended once, with the start configuration;
//   - claim: PCR 15 shows no claim, or this one, as [attest.Expected] demands: a
//     Keep that was claimed and emptied out cannot pass for a new one;
//   - report-data: the qualifying data are the digest of the report data.
//
// Saved evidence cannot prove the activation again ("activation not
// transferable"): its claims say that it was waived, and whoever takes it takes
// the word of whoever saved it (packages appraisal and policy refuse it unless
// told so). Quotes of clouds that
// certify attestation keys need none: the certificate is that of the key itself.
//
// # Purity
//
// No network, no file, no clock and no randomness: time and random bytes are
// arguments.
package vtpm
