// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package image_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/enarx/enarx-go/image"
	"github.com/enarx/enarx-go/image/imagetest"
)

// TestReleaseImage builds the image that releases are, with the real Keep
// runtime, and holds what is promised of it.
func TestReleaseImage(t *testing.T) {
	i := imagetest.Image(t, imagetest.Options{})
	if _, err := image.Open(context.Background(), i.Dir); err != nil {
		t.Error(err)
	}
	if err := i.Check(); err != nil {
		t.Error(err)
	}
	m := &i.Manifest
	if m.Debug || !strings.HasPrefix(m.Engine, "wazero v") || !slices.Equal(m.Platforms(), []string{"vm", "vtpm", "snp", "tdx"}) {
		t.Errorf("release %q, engine %q, debug %v, platforms %v", m.Release, m.Engine, m.Debug, m.Platforms())
	}
	// The goal of its size, of which a Keep's guest memory has to hold two for
	// a moment.
	const most = 16 << 20
	if f, _ := m.File(image.FileInitrd); f.Size > most {
		t.Errorf("initrd has %d bytes, the goal is at most %d", f.Size, most)
	}
	b, err := i.Read(image.FileSBOM)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Components []struct {
			Name     string
			Licenses []struct{ Expression string }
		}
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	for _, c := range doc.Components {
		if len(c.Licenses) == 0 {
			t.Errorf("the bill of materials names no licence for %s: add it to licences in sbom.go", c.Name)
		}
	}
	if len(doc.Components) < 15 {
		t.Errorf("only %d components", len(doc.Components))
	}
}
