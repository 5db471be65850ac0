// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package attest

import "fmt"

// Challenger is the verifying side of a platform whose evidence needs a
// conversation. Most do not: snp, tdx, sgx and sim prove everything with one
// message and have no Challenger.
//
// TPM credential activation is the case it exists for. The Keep's first
// evidence names an attestation key and an endorsement certificate. Next
// checks the certificate up to the TPM vendor's root, makes a fresh secret,
// encrypts it with MakeCredential to that endorsement key and the name of that
// attestation key, and returns the credential. Only the TPM that holds both
// keys can answer with the secret. When Next has seen the right answer it
// returns done; only then may a quote signed by that attestation key count.
//
// Contract: a Challenger belongs to one session and is used once; a challenge
// depends on fresh randomness of the verifying side; answers are hostile
// bytes; an error ends the session; that a conversation is done is never in
// itself a reason to accept evidence, the Verifier still has to.
type Challenger interface {
	// Next takes the evidence (first call) or the answer to the challenge
	// before (later calls) and returns the next challenge, or done.
	Next(answer Evidence) (challenge Evidence, done bool, err error)
}

// Responder is the Keep's side of the conversation.
//
// Contract: challenges are hostile bytes; a Responder answers only with what
// the platform's own protocol defines and never signs bytes that the
// challenge chose (a signing oracle would undo the report-data domains).
type Responder interface {
	Respond(challenge Evidence) (answer Evidence, err error)
}

// Converse runs the conversation of c about the evidence ev; exchange sends a
// challenge to the Keep and returns its answer. It ends with an error after
// [MaxChallengeRounds] rounds without an end.
func Converse(c Challenger, ev Evidence, exchange func(Evidence) (Evidence, error)) error {
	answer := ev
	for round := 0; ; round++ {
		challenge, done, err := c.Next(answer)
		if err != nil {
			return err
		}
		if done {
			return nil
		}
		if round == MaxChallengeRounds {
			return fmt.Errorf("attest: no end after %d challenge rounds", MaxChallengeRounds)
		}
		if answer, err = exchange(challenge); err != nil {
			return err
		}
		if err := checkRecord("answer", answer, MaxEvidence); err != nil {
			return err
		}
	}
}
