// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package session

import "time"

const (
	// headerSize is the fixed part of a frame: type, flags, two reserved
	// bytes, payload length (u32, big-endian).
	headerSize = 8
	// maxFrame is the largest frame on the wire, header and padding
	// included: four full TLS records, enough that the cost of a frame does
	// not show in bulk transfers.
	maxFrame = 64 << 10
	// MaxPayload is the most that one frame carries.
	MaxPayload = maxFrame - headerSize

	// StreamBatch is how many bytes of a stream leave together: two full
	// frames, which with TLS around them fit into one frame of the sallyport.
	StreamBatch = 2 * MaxPayload

	// maxControl bounds a control message, which may take several frames.
	// Evidence with a certificate chain and an event log is the largest.
	maxControl = 1 << 20

	// MaxEvidenceRequests is how often one session may ask for evidence:
	// once before the claim, once after, and some for long-lived owners.
	MaxEvidenceRequests = 16

	// StdinWindow is how many bytes of stdin a client may have sent that the
	// workload has not read: it keeps a workload that never reads from
	// filling the Keep's memory and signals from waiting behind stdin.
	StdinWindow = 256 << 10

	// HandshakeTimeout bounds the TLS handshake, and so how long a peer that
	// sends byte by byte holds a session slot.
	HandshakeTimeout = 15 * time.Second
	// ExchangeTimeout bounds the time from the handshake to a claim or an
	// owner proof. Platform quotes can take seconds when a host serialises
	// them; a person deciding on a verdict must fit as well.
	ExchangeTimeout = 120 * time.Second
	// PingInterval is how often a Keep speaks on a session that waits for a
	// workload, and Silence after how much of it a client gives the host up.
	PingInterval = 20 * time.Second
	Silence      = 90 * time.Second
	// BundleTimeout bounds the time from claim to a complete bundle.
	BundleTimeout = 10 * time.Minute

	// maxMediaType and maxChallenge bound one challenge or answer.
	maxMediaType = 128
	maxChallenge = 16 << 10
	// maxText bounds any text in a message that comes from the peer.
	maxText = 4 << 10
	// clipText is where this end cuts its own texts, below maxText with the
	// marks that may be added.
	clipText = 2 << 10
	// maxName bounds names of steps and engines.
	maxName = 256
	// maxCert bounds the identity certificate; with maxNames names it has
	// less than 6 KiB.
	maxCert = 16 << 10
	// maxSteps bounds the steps of a Keep's life that it tells the times of.
	maxSteps = 64
	// maxPorts is the most listeners a workload can have: its descriptors.
	maxPorts = 256
	// maxPublish bounds the publish wishes of one run.
	maxPublish = 128
	// maxNames bounds the names asked for in the identity certificate.
	maxNames = 16
	// maxSecrets is the largest sealed set of secret values.
	maxSecrets = 1 << 20
)

// frameClasses are the only sizes that frames have on the wire.
var frameClasses = [...]int{256, 1 << 10, 4 << 10, 16 << 10, maxFrame}
