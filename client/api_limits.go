// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package client

import "time"

// Limits on what an agent, who is trusted by nobody, can make a client hold or
// wait for.
const (
	// maxJSON bounds a JSON answer: a list of a thousand Keeps has 200 kB.
	maxJSON = 4 << 20
	// maxSpool bounds a sealed record; agents keep at most 4 MiB.
	maxSpool = 8 << 20
	// maxHeader bounds the head of an answer.
	maxHeader = 32 << 10
	// maxProblem bounds an error's body.
	maxProblem = 64 << 10
	// maxEvent bounds one line of the event stream.
	maxEvent = 16 << 10
	// maxText bounds one string of the agent that may be shown to a person.
	maxText = 512
	// maxTokenFile bounds a token file.
	maxTokenFile = 64 << 10
	// maxID and maxCapability bound what is sent back to the agent.
	maxID         = 64
	maxCapability = 256

	dialTimeout = 15 * time.Second
	// callTimeout bounds a whole exchange, the last byte of its answer
	// included.
	callTimeout = 2 * time.Minute
	// answerTimeout bounds the wait for an answer's head. Starting a VM Keep
	// is the slowest thing an agent does before it answers.
	answerTimeout = 90 * time.Second
	// createTries is how often Create asks when connections break.
	createTries = 3
)
