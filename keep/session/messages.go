// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/enarx/enarx-go/internal/detcbor"
)

// Encode gives the one encoding of a message: a deterministically encoded CBOR
// map with small integer keys.
func Encode(v any) ([]byte, error) {
	b, err := detcbor.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("attested channel: %w", err)
	}
	return b, nil
}

// Decode reads a message into v (a pointer), refuses every encoding but the
// one that Encode makes, and checks the message's own rules.
func Decode(p []byte, v any) error {
	if err := detcbor.Unmarshal(p, v); err != nil {
		return fmt.Errorf("attested channel: %w", err)
	}
	if c, ok := v.(interface{ check() error }); ok {
		if err := c.check(); err != nil {
			return fmt.Errorf("attested channel: %T: %w", v, err)
		}
	}
	return nil
}

// Version is the version of this protocol.
const Version = 1

// Hello asks the Keep for evidence bound to this connection.
type Hello struct {
	Version uint64 `cbor:"1,keyasint"`
}

func (h *Hello) check() error {
	if h.Version != Version {
		return fmt.Errorf("seen protocol version %d, expected %d", h.Version, Version)
	}
	return nil
}

// Challenge is one round of a platform's own conversation about its evidence,
// such as TPM credential activation; the answer to it has the same form. There
// are at most attest.MaxChallengeRounds of them in a session.
type Challenge struct {
	MediaType string `cbor:"1,keyasint"`
	Value     []byte `cbor:"2,keyasint"`
}

func (c *Challenge) check() error {
	if len(c.MediaType) == 0 || len(c.MediaType) > maxMediaType || len(c.Value) > maxChallenge {
		return fmt.Errorf("a challenge of %d bytes with a type of %d is out of range", len(c.Value), len(c.MediaType))
	}
	return nil
}

// Owner is the public half of a deployment's owner key: a signing key with
// which later sessions prove themselves, and a key to which the record of the
// workload's end is sealed.
type Owner struct {
	Sign []byte `cbor:"1,keyasint"` // Ed25519 public key, 32 bytes
	Seal []byte `cbor:"2,keyasint"` // HPKE MLKEM768-X25519 public key, 1,216 bytes
}

// sealKeySize is the size of an MLKEM768-X25519 (X-Wing) public key: 1,184
// bytes of ML-KEM-768 and 32 of X25519 (draft-ietf-hpke-pq).
const sealKeySize = 1184 + 32

func (o *Owner) check() error {
	if len(o.Sign) != ed25519.PublicKeySize {
		return fmt.Errorf("seen an owner signing key of %d bytes, expected %d", len(o.Sign), ed25519.PublicKeySize)
	}
	if len(o.Seal) != sealKeySize {
		return fmt.Errorf("seen an owner sealing key of %d bytes, expected %d", len(o.Seal), sealKeySize)
	}
	return nil
}

// ownerDomain separates the owner-key hash from every other hash.
const ownerDomain = "enarx owner key v1\x00"

// Hash is the owner-key hash that goes into the Keep's evidence.
func (o *Owner) Hash() ([32]byte, error) {
	if err := o.check(); err != nil {
		return [32]byte{}, fmt.Errorf("owner key: %w", err)
	}
	b, err := Encode(o)
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(append([]byte(ownerDomain), b...)), nil
}

// Claim takes an empty Keep for an owner.
type Claim struct {
	Owner      Owner  `cbor:"1,keyasint"`
	TimeNS     uint64 `cbor:"2,keyasint"` // the client's time, nanoseconds since 1970 UTC
	SecretsKey []byte `cbor:"3,keyasint"` // 32 bytes, fresh: secret values travel under it
}

func (c *Claim) check() error {
	if len(c.SecretsKey) != 32 {
		return fmt.Errorf("seen a secrets key of %d bytes, expected 32", len(c.SecretsKey))
	}
	if c.TimeNS > 1<<62 {
		return errors.New("time is out of range")
	}
	return c.Owner.check()
}

// Refusal codes.
const (
	CodeAlreadyClaimed = "already-claimed"
	CodeBadBundle      = "bad-bundle"
	CodeBadRequest     = "bad-request"
	CodeNotOwner       = "not-owner"
	CodeConfidential   = "confidential-refused"
	CodeBusy           = "busy"
	CodeEvidence       = "no-evidence"
	CodeSetup          = "setup"
	CodeEnded          = "ended"
)

// Text makes a text fit for a message, whoever chose it: at most 2 KiB of valid
// UTF-8.
func Text(s string) string {
	if len(s) > clipText {
		s = s[:clipText] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// Refused is the Keep's last frame of a session that it ends, with why. It is
// also an error.
type Refused struct {
	Code string `cbor:"1,keyasint"`
	Text string `cbor:"2,keyasint"`
}

func (r *Refused) check() error {
	if len(r.Code) > 64 || len(r.Text) > maxText {
		return errors.New("text is too long")
	}
	return nil
}

func (r *Refused) Error() string {
	if r.Text == "" {
		return "the keep refused: " + r.Code
	}
	return "the keep refused (" + r.Code + "): " + r.Text
}

// BundleHeader announces the bundle: its real size and digest. Data frames
// follow until PadmeSize(Size) bytes have come; those past Size are zero.
type BundleHeader struct {
	Size   uint64 `cbor:"1,keyasint"`
	Digest []byte `cbor:"2,keyasint"` // workload.Digest, 32 bytes
}

func (h *BundleHeader) check() error {
	if len(h.Digest) != 32 {
		return fmt.Errorf("seen a digest of %d bytes, expected 32", len(h.Digest))
	}
	return nil
}

// Accepted says that the bundle has the digest that was announced.
type Accepted struct {
	Digest []byte `cbor:"1,keyasint"` // 32 bytes
}

func (a *Accepted) check() error {
	if len(a.Digest) != 32 {
		return fmt.Errorf("seen a digest of %d bytes, expected 32", len(a.Digest))
	}
	return nil
}

// Publish is the owner's wish where one guest port is to be on the host.
type Publish struct {
	Guest uint16 `cbor:"1,keyasint"` // port of a listen entry
	Host  string `cbor:"2,keyasint"` // "[addr:]port"
}

// Run starts the workload.
type Run struct {
	Detached bool      `cbor:"1,keyasint"` // the workload outlives this session
	Publish  []Publish `cbor:"2,keyasint,omitempty"`
	Names    []string  `cbor:"3,keyasint,omitempty"` // DNS names and addresses for the identity certificate
	Evidence bool      `cbor:"4,keyasint,omitempty"` // evidence of the running Keep follows Running, before any output
}

func (r *Run) check() error {
	if len(r.Publish) > maxPublish {
		return fmt.Errorf("seen %d publish wishes, at most %d", len(r.Publish), maxPublish)
	}
	if len(r.Names) > maxNames {
		return fmt.Errorf("seen %d names, at most %d", len(r.Names), maxNames)
	}
	for _, p := range r.Publish {
		if len(p.Host) > 256 {
			return errors.New("a publish wish is too long")
		}
	}
	for _, n := range r.Names {
		if len(n) == 0 || len(n) > 253 {
			return fmt.Errorf("seen a name of %d bytes, expected 1 to 253", len(n))
		}
	}
	return nil
}

// Port is a listener of the workload as the host says it is reachable.
type Port struct {
	Name  string `cbor:"1,keyasint"`
	Guest uint16 `cbor:"2,keyasint"`
	Bound string `cbor:"3,keyasint"` // the host's word, not verified
}

// Step is how long one step of the Keep's life took, in microseconds.
type Step struct {
	Name string `cbor:"1,keyasint"`
	US   uint64 `cbor:"2,keyasint"`
}

// Running says that the workload's code is about to be entered.
type Running struct {
	IdentityCert []byte `cbor:"1,keyasint"` // DER, self-signed by the identity key
	Ports        []Port `cbor:"2,keyasint,omitempty"`
	Engine       string `cbor:"3,keyasint"`
	Steps        []Step `cbor:"4,keyasint,omitempty"`
}

func (r *Running) check() error {
	if len(r.IdentityCert) == 0 || len(r.IdentityCert) > maxCert {
		return fmt.Errorf("seen a certificate of %d bytes, expected 1 to %d", len(r.IdentityCert), maxCert)
	}
	if len(r.Engine) > maxName || len(r.Steps) > maxSteps {
		return errors.New("the engine's name or the list of steps is too long")
	}
	for _, s := range r.Steps {
		if len(s.Name) > maxName {
			return errors.New("the name of a step is too long")
		}
	}
	return checkPorts(r.Ports)
}

func checkPorts(ports []Port) error {
	if len(ports) > maxPorts {
		return fmt.Errorf("seen %d ports, at most %d", len(ports), maxPorts)
	}
	for _, p := range ports {
		if len(p.Name) > maxText || len(p.Bound) > maxText {
			return errors.New("the name or address of a port is too long")
		}
	}
	return nil
}

// How a workload ended.
const (
	EndExit    = "exit"    // it returned Code
	EndTrap    = "trap"    // it did something undefined
	EndSignal  = "signal"  // its owner sent signal Code
	EndTimeout = "timeout" // it reached its wall-time limit
	EndStopped = "stopped" // its owner stopped it
	EndKilled  = "killed"  // the engine child was killed from outside: out of memory, or the host
	EndSetup   = "setup"   // it never started: bad module, a socket that cannot be opened
)

// Exit is the end of a workload.
type Exit struct {
	End    string `cbor:"1,keyasint"`
	Code   uint64 `cbor:"2,keyasint"`           // exit code or signal number
	Reason string `cbor:"3,keyasint,omitempty"` // one line
	Trace  string `cbor:"4,keyasint,omitempty"` // the guest's call stack after a trap
	Lost   uint64 `cbor:"5,keyasint,omitempty"` // bytes of output that the log no longer held
	Pad    []byte `cbor:"6,keyasint,omitempty"` // ExitPad zeros in a message, nothing in a record
}

// ExitPad is how many bytes of padding an exit message carries: enough that
// all of them, with a reason and a stack trace or without, are of one frame
// class, and the host does not see a trap by its size.
const ExitPad = 4 << 10

func (e *Exit) check() error {
	if n := len(e.Pad); n != 0 && n != ExitPad {
		return fmt.Errorf("%d bytes of padding, expected %d", n, ExitPad)
	}
	switch e.End {
	case EndExit, EndTrap, EndSignal, EndTimeout, EndStopped, EndKilled, EndSetup:
	default:
		return errors.New("it names no known kind of end")
	}
	if e.Code > math.MaxUint32 {
		return fmt.Errorf("seen code %d, at most %d", e.Code, uint32(math.MaxUint32))
	}
	if len(e.Reason) > maxText || len(e.Trace) > maxText {
		return errors.New("text is too long")
	}
	return nil
}

// OwnerProof shows that a later session is the owner's: an Ed25519 signature
// over ownerProofDomain and this very connection's owner exporter.
type OwnerProof struct {
	Signature []byte `cbor:"1,keyasint"` // 64 bytes
}

func (p *OwnerProof) check() error {
	if len(p.Signature) != ed25519.SignatureSize {
		return fmt.Errorf("seen a signature of %d bytes, expected %d", len(p.Signature), ed25519.SignatureSize)
	}
	return nil
}

// Verbs of an owner session.
const (
	VerbStatus = "status"
	VerbLogs   = "logs"   // the log so far; with Follow until the end
	VerbAttach = "attach" // the output from now on
	VerbStop   = "stop"
)

// Verb is what the owner wants of a claimed Keep.
type Verb struct {
	Verb   string `cbor:"1,keyasint"`
	Follow bool   `cbor:"2,keyasint,omitempty"`
}

func (v *Verb) check() error {
	switch v.Verb {
	case VerbStatus, VerbLogs, VerbAttach, VerbStop:
		return nil
	}
	return errors.New("it names no known verb")
}

// Status is a running workload as its owner may see it.
type Status struct {
	State        string `cbor:"1,keyasint"` // attest state: "claimed" or "running"
	Digest       []byte `cbor:"2,keyasint,omitempty"`
	StartedNS    uint64 `cbor:"3,keyasint,omitempty"` // the Keep's trusted time
	NowNS        uint64 `cbor:"4,keyasint,omitempty"`
	OutputBytes  uint64 `cbor:"5,keyasint,omitempty"`
	LostBytes    uint64 `cbor:"6,keyasint,omitempty"`
	Ports        []Port `cbor:"7,keyasint,omitempty"`
	IdentityCert []byte `cbor:"8,keyasint,omitempty"`
}

func (s *Status) check() error {
	if s.State != "claimed" && s.State != "running" {
		return errors.New("seen a state that a Keep with an owner cannot have")
	}
	if len(s.Digest) != 0 && len(s.Digest) != 32 || len(s.IdentityCert) > maxCert {
		return errors.New("the digest or the certificate has a wrong size")
	}
	return checkPorts(s.Ports)
}
