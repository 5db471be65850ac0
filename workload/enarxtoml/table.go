// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package enarxtoml

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// reader collects the errors of one text.
type reader struct {
	name string
	pos  *positions
	errs Errors
	seen map[string]bool // paths that have an error already
}

// bad reports the value at path.
func (r *reader) bad(path []string, format string, args ...any) {
	r.report(path, false, format, args...)
}

func (r *reader) report(path []string, key bool, format string, args ...any) {
	if len(r.errs) == maxRecorded {
		return // finding the line of each takes the time of reading the text
	}
	line, col := r.pos.find(path, key)
	r.errs = append(r.errs, &Error{r.name, line, col, fmt.Sprintf(format, args...)})
	r.seen[join(path)] = true
}

// reported says that path or something inside it has an error already: the
// value that is checked next is then not the one in the text.
func (r *reader) reported(path []string) bool {
	at := join(path)
	for seen := range r.seen {
		if seen == at || strings.HasPrefix(seen, at+"\x00") {
			return true
		}
	}
	return false
}

// table is a TOML table on its way into a typed value. Each accessor gives the
// zero value and false for a key that is absent or, after a report, of another
// type.
type table struct {
	r    *reader
	path []string
	m    map[string]any
}

func (t table) at(keys ...string) []string { return append(slices.Clone(t.path), keys...) }

// keys reports every key that is not allowed.
func (t table) keys(where string, allowed ...string) {
	for _, k := range sortedKeys(t.m) {
		if slices.Contains(allowed, k) {
			continue
		}
		msg := fmt.Sprintf("unknown key %q%s", clip(k), where)
		if s := suggest(k, allowed); s != "" {
			msg += fmt.Sprintf("; did you mean %q?", s)
		} else {
			msg += "; expected one of " + strings.Join(allowed, ", ")
		}
		t.r.report(t.at(k), true, "%s", msg)
	}
}

func (t table) wrong(path []string, v any, want string) {
	t.r.bad(path, "%s is %s, expected %s", path[len(path)-1], kindOf(v), want)
}

func (t table) str(key string) (string, bool) {
	v, ok := t.m[key]
	if !ok {
		return "", false
	}
	s, ok := v.(string)
	if !ok {
		t.wrong(t.at(key), v, "a string in quotes")
	}
	return s, ok
}

func (t table) boolean(key string) bool {
	v, ok := t.m[key]
	if !ok {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		t.wrong(t.at(key), v, "true or false without quotes")
	}
	return b
}

func (t table) port(key string) (uint16, bool) {
	v, ok := t.m[key]
	if !ok {
		return 0, false
	}
	n, ok := v.(int64)
	if !ok {
		t.wrong(t.at(key), v, "a number without quotes")
		return 0, false
	}
	if n < 0 || n > 65535 {
		t.r.bad(t.at(key), "%s is %d, expected 0 to 65535", key, n)
		return 0, false
	}
	return uint16(n), true
}

// amount reads a number with its unit.
func (t table) amount(key string, parse func(string) (uint64, error)) uint64 {
	s, ok := t.str(key)
	if !ok {
		return 0
	}
	n, err := parse(s)
	if err != nil {
		t.r.bad(t.at(key), "%s: %s", key, err)
	}
	return n
}

// count reads a whole number that is at least 1.
func (t table) count(key string) (uint64, bool) {
	v, ok := t.m[key]
	if !ok {
		return 0, false
	}
	n, ok := v.(int64)
	if !ok {
		t.wrong(t.at(key), v, "a number without quotes")
		return 0, false
	}
	if n < 1 {
		t.r.bad(t.at(key), "%s is %d, expected 1 at least", key, n)
		return 0, false
	}
	return uint64(n), true
}

func (t table) stringList(key string) []string {
	v, ok := t.m[key]
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		t.wrong(t.at(key), v, "a list of strings")
		return nil
	}
	out := make([]string, len(list))
	for i, v := range list {
		if out[i], ok = v.(string); !ok {
			t.r.bad(t.at(key, strconv.Itoa(i)), "element %d of %s is %s, expected a string in quotes", i, key, kindOf(v))
		}
	}
	return out
}

func (t table) stringMap(key string) map[string]string {
	sub, ok := t.sub(key)
	if !ok {
		return nil
	}
	out := make(map[string]string, len(sub.m))
	for _, k := range sortedKeys(sub.m) {
		if s, ok := sub.str(k); ok {
			out[k] = s
		}
	}
	return out
}

func (t table) sub(key string) (table, bool) {
	v, ok := t.m[key]
	if !ok {
		return table{}, false
	}
	m, ok := v.(map[string]any)
	if !ok {
		t.wrong(t.at(key), v, "a table, written ["+key+"]")
		return table{}, false
	}
	return table{t.r, t.at(key), m}, true
}

// subs gives the elements of an array of tables; where an element is something
// else the table is empty and the error reported.
func (t table) subs(key string) []table {
	v, ok := t.m[key]
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		t.wrong(t.at(key), v, "a list of tables, each written [["+key+"]]")
		return nil
	}
	out := make([]table, len(list))
	for i, v := range list {
		m, ok := v.(map[string]any)
		path := t.at(key, strconv.Itoa(i))
		if !ok {
			t.r.bad(path, "element %d of %s is %s, expected a table", i, key, kindOf(v))
		}
		out[i] = table{t.r, path, m}
	}
	return out
}

func kindOf(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("the string %q", clip(v))
	case int64:
		return fmt.Sprintf("the number %d", v)
	case float64:
		return fmt.Sprintf("the number %g", v)
	case bool:
		return fmt.Sprintf("%t", v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}

// clip keeps long text out of messages.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
