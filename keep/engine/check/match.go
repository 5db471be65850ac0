// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/enarx/enarx-go/keep/engine"
)

// Match finds the host function for each import and refuses what is missing or
// has another signature, by name.
func Match(imports []engine.Import, host []engine.HostFunc) ([]*engine.HostFunc, error) {
	type key struct{ mod, name string }
	have := make(map[key]*engine.HostFunc, len(host))
	for i := range host {
		have[key{host[i].Module, host[i].Name}] = &host[i]
	}
	var wanted []*engine.HostFunc
	seen := make(map[key]bool)
	for _, imp := range imports {
		k := key{imp.Module, imp.Name}
		h := have[k]
		if h == nil {
			return nil, fmt.Errorf("module imports function %q of module %q, which does not exist here", Clean(imp.Name), Clean(imp.Module))
		}
		if !slices.Equal(h.Params, imp.Params) || !slices.Equal(h.Results, imp.Results) {
			return nil, fmt.Errorf("module imports function %q of module %q with signature %s, it has %s here",
				imp.Name, imp.Module, Signature(imp.Params, imp.Results), Signature(h.Params, h.Results))
		}
		if !seen[k] {
			seen[k] = true
			wanted = append(wanted, h)
		}
	}
	return wanted, nil
}

// Clean makes one short printable line of an engine's message, which may carry
// names out of the module.
func Clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxReasonBytes {
		s = s[:maxReasonBytes] + "..."
	}
	return s
}

// Signature is how a function's type is shown: "(i32 i64) -> (i32)".
func Signature(params, results []engine.ValType) string {
	names := func(ts []engine.ValType) string {
		var s []string
		for _, t := range ts {
			s = append(s, valTypeName(t))
		}
		return strings.Join(s, " ")
	}
	return fmt.Sprintf("(%s) -> (%s)", names(params), names(results))
}

func valTypeName(t engine.ValType) string {
	switch t {
	case engine.I32:
		return "i32"
	case engine.I64:
		return "i64"
	case engine.F32:
		return "f32"
	case engine.F64:
		return "f64"
	case 0x7b:
		return "v128"
	case 0x70:
		return "funcref"
	case 0x6f:
		return "externref"
	}
	return "unknown"
}
