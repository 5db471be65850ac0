// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// object is a JSON object taken apart: its members, not decoded.
type object map[string]json.RawMessage

// parseObject reads one JSON object. A member that occurs twice is an error:
// encoding/json would take the last, others the first.
func parseObject(b []byte) (object, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("no JSON object")
	}
	o := object{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("JSON: %w", err)
		}
		key, ok := t.(string)
		if _, twice := o[key]; !ok || twice {
			return nil, fmt.Errorf("JSON: member %q twice", shown(key))
		}
		if len(o) == maxKeys {
			return nil, fmt.Errorf("JSON object with more than %d members", maxKeys)
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, fmt.Errorf("JSON: %w", err)
		}
		o[key] = v
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("JSON: something after the object")
	}
	return o, nil
}

// has says whether all of the members are there and not null.
func (o object) has(keys ...string) bool {
	for _, k := range keys {
		if v, ok := o[k]; !ok || string(v) == "null" {
			return false
		}
	}
	return true
}

// except names the members that are not among keys, in order.
func (o object) except(keys ...string) string {
	var list []string
	for k, v := range o {
		if !slices.Contains(keys, k) && string(v) != "null" {
			list = append(list, fmt.Sprintf("%q", shown(k)))
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// keysOfObject names all members, in order.
func keysOfObject(o object) []string { return slices.Sorted(maps.Keys(o)) }

// str gives a member that is a string.
func (o object) str(key string) (string, error) {
	var s string
	if v, ok := o[key]; !ok {
		return "", fmt.Errorf("no %q", key)
	} else if err := json.Unmarshal(v, &s); err != nil || string(v) == "null" {
		return "", fmt.Errorf("%q is no string", key)
	}
	return s, nil
}

// bytes gives a member that is bytes as text: hexadecimal or base64 of any kind.
func (o object) bytes(key string) ([]byte, error) {
	s, err := o.str(key)
	if err != nil {
		return nil, err
	}
	t := bytes.TrimSpace([]byte(s))
	if b, ok := unhex(t); ok {
		return b, nil
	}
	if b, ok := unbase64(t); ok {
		return b, nil
	}
	return nil, fmt.Errorf("%q is neither hexadecimal nor base64", key)
}

// numbers gives a member that is an array of exactly n bytes as numbers, or of
// some if n is negative.
func (o object) numbers(key string, n int) ([]byte, error) {
	v, ok := o[key]
	if !ok {
		return nil, fmt.Errorf("no %q", key)
	}
	limit := n
	if n < 0 {
		limit = maxX509
	}
	b, err := byteArray(v, limit)
	if err == nil && n >= 0 && len(b) != n {
		err = fmt.Errorf("%d bytes, expected %d", len(b), n)
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", key, err)
	}
	return b, nil
}

// byteArray reads an array of at most limit numbers from 0 to 255. It is
// written out because encoding/json takes 30 bytes and more for each of them.
func byteArray(v json.RawMessage, limit int) ([]byte, error) {
	errWant := errors.New("no array of numbers from 0 to 255")
	inner, ok := bytes.CutPrefix(v, []byte{'['})
	inner, closed := bytes.CutSuffix(inner, []byte{']'})
	if !ok || !closed {
		return nil, errWant
	}
	b := make([]byte, 0, min(limit, len(inner)/2+1))
	for inner = bytes.TrimSpace(inner); len(inner) > 0; {
		number, rest, more := bytes.Cut(inner, []byte{','})
		number = bytes.TrimSpace(number)
		n := 0
		for _, c := range number {
			if n = n*10 + int(c-'0'); c < '0' || c > '9' || n > 255 {
				return nil, errWant
			}
		}
		if len(number) == 0 || len(number) > 1 && number[0] == '0' || more && len(rest) == 0 {
			return nil, errWant
		}
		if len(b) == limit {
			return nil, fmt.Errorf("more than %d numbers", limit)
		}
		b, inner = append(b, byte(n)), rest
	}
	return b, nil
}

// uint gives a member that is a number from 0 to limit.
func (o object) uint(key string, limit uint64) (uint64, error) {
	var n uint64
	if v, ok := o[key]; !ok || string(v) == "null" {
		return 0, fmt.Errorf("no %q", key)
	} else if err := json.Unmarshal(v, &n); err != nil || n > limit {
		return 0, fmt.Errorf("%q is no number from 0 to %d", key, limit)
	}
	return n, nil
}

// object gives a member that is an object.
func (o object) object(key string) (object, error) {
	v, ok := o[key]
	if !ok {
		return nil, fmt.Errorf("no %q", key)
	}
	inner, err := parseObject(v)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", key, err)
	}
	return inner, nil
}

// list gives a member that is an array of at most limit elements.
func (o object) list(key string, limit int) ([]json.RawMessage, error) {
	v, ok := o[key]
	if !ok {
		return nil, fmt.Errorf("no %q", key)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(v, &list); err != nil || string(v) == "null" || len(list) > limit {
		return nil, fmt.Errorf("%q is no array of at most %d elements", key, limit)
	}
	return list, nil
}
