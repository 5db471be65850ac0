// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/agent/api"
	"github.com/enarx/enarx-go/keep/session"
)

// The owner file of a claimed Keep goes only when the Keep itself has said that
// it ended without running the workload. Losing the key of one that may run is
// worse than a file too many.
func TestOwnerFileOutlivesAllButARefusal(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		ran  bool
		kept bool
	}{
		{"bad bundle", &session.Refused{Code: session.CodeBadBundle, Text: "x"}, false, false},
		{"confidential", &session.Refused{Code: session.CodeConfidential}, false, false},
		{"setup", &session.Refused{Code: session.CodeSetup}, false, false},
		{"while it ran", &session.Refused{Code: session.CodeSetup}, true, true},
		{"no evidence of the running keep", &session.Refused{Code: session.CodeEvidence}, false, true},
		{"unknown code", &session.Refused{Code: "surprise"}, false, true},
		{"lost", errors.New("attached channel: end of file"), false, true},
		{"forced", errForced{15}, false, true},
		{"time limit", errTimeLimit, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var said bytes.Buffer
			path := filepath.Join(t.TempDir(), "x.owner")
			if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
				t.Fatal(err)
			}
			d := &deployment{a: &app{ui: newUI(&said)}, created: &api.Created{}, owner: &ownerFile{path: path}, claimed: true, ran: test.ran}
			d.release(sessionError(t.Context(), test.err))
			_, err := os.Lstat(path)
			if kept := err == nil; kept != test.kept {
				t.Errorf("kept %v, want %v", kept, test.kept)
			}
			if told := strings.Contains(said.String(), "owner file is "+path); told != test.kept {
				t.Errorf("said %q", &said)
			}
		})
	}
}
