// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"strings"
)

// keepStderr puts what a Keep runtime prints when it fails into the agent's
// log, a bounded line at a time. The Keep is not trusted: its words are quoted
// by the log's own format and marked as its own.
type keepStderr struct {
	log *slog.Logger
	id  string
}

func (k keepStderr) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if line = strings.TrimSpace(shorten(line)); line != "" {
			k.log.Warn("Keep runtime printed", "keep", k.id, "text", line)
		}
	}
	return len(p), nil
}
