// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wat

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error is a fault in the text with its place: line and column from 1, the
// column in characters.
type Error struct {
	Line, Col int
	Msg       string
}

func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Msg) }

// fault travels as a panic inside the package, from where a token is found
// wrong to Assemble, which turns it into an *Error. An assembler is one long
// chain of "next must be X"; checking each would bury the grammar.
type fault struct {
	pos int
	msg string
}

func failAt(pos int, format string, args ...any) {
	panic(fault{pos, fmt.Sprintf(format, args...)})
}

// place turns an offset into an *Error.
func place(src []byte, f fault) *Error {
	pos := min(f.pos, len(src))
	before := src[:pos]
	return &Error{
		Line: 1 + bytes.Count(before, []byte("\n")),
		Col:  1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]),
		Msg:  f.msg,
	}
}

// quote shows a piece of the source, cut to a bearable length.
func quote(s string) string {
	if len(s) > maxName {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:maxName], "�"))
	}
	return fmt.Sprintf("%q", s)
}

type kind uint8

const (
	atom kind = iota // keyword, number, identifier
	text             // string literal, text still escaped and without its quotes
	list             // parenthesised
)

// node is a piece of syntax.
type node struct {
	kind kind
	pos  int
	text string
	kids []node
}

// head is the leading keyword of a list, or "".
func (n *node) head() string {
	if n.kind == list && len(n.kids) > 0 && n.kids[0].kind == atom {
		return n.kids[0].text
	}
	return ""
}

// isID says that n is an identifier.
func (n *node) isID() bool { return n.kind == atom && strings.HasPrefix(n.text, "$") }

// what names n in an error.
func (n *node) what() string {
	switch {
	case n.kind == text:
		return "a string"
	case n.kind == atom:
		return quote(n.text)
	case n.head() != "":
		return quote("(" + n.head() + " …")
	}
	return "a list"
}

// reader is the lexer: it builds the tree without recursion, so that nesting
// costs no stack of ours.
type reader struct {
	src   string
	pos   int
	nodes int
}

// read returns the top-level nodes.
func (r *reader) read() []node {
	stack := []node{{kind: list}}
	for {
		r.space()
		top := &stack[len(stack)-1]
		if r.pos == len(r.src) {
			if len(stack) > 1 {
				failAt(top.pos, "this parenthesis is not closed")
			}
			return top.kids
		}
		switch c := r.src[r.pos]; {
		case c == '(':
			if len(stack) > maxDepth {
				failAt(r.pos, "nested deeper than %d parentheses", maxDepth)
			}
			r.count()
			stack = append(stack, node{kind: list, pos: r.pos})
			r.pos++
		case c == ')':
			if len(stack) == 1 {
				failAt(r.pos, "this parenthesis closes nothing")
			}
			r.pos++
			done := *top
			stack = stack[:len(stack)-1]
			parent := &stack[len(stack)-1]
			parent.kids = append(parent.kids, done)
		case c == '"':
			top.kids = append(top.kids, r.stringLiteral())
		default:
			top.kids = append(top.kids, r.atom())
		}
	}
}

func (r *reader) count() {
	if r.nodes++; r.nodes > maxNodes {
		failAt(r.pos, "more than %d words: assemble it with a tool made for large files, such as wat2wasm, and use the .wasm file", maxNodes)
	}
}

// space skips white space and comments (specification, section 6.2.2).
func (r *reader) space() {
	for r.pos < len(r.src) {
		switch rest := r.src[r.pos:]; {
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r':
			r.pos++
		case strings.HasPrefix(rest, ";;"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			r.pos += n
		case strings.HasPrefix(rest, "(;"):
			r.blockComment()
		default:
			return
		}
	}
}

// blockComment skips a comment, which may hold others.
func (r *reader) blockComment() {
	start, depth := r.pos, 0
	for r.pos+1 < len(r.src) {
		switch r.src[r.pos : r.pos+2] {
		case "(;":
			depth++
			r.pos += 2
		case ";)":
			depth--
			r.pos += 2
			if depth == 0 {
				return
			}
		default:
			r.pos++
		}
	}
	failAt(start, "this comment is not closed")
}

// atom reads characters of section 6.3.5.
func (r *reader) atom() node {
	r.count()
	start := r.pos
	for r.pos < len(r.src) && isIDChar(r.src[r.pos]) {
		r.pos++
	}
	if r.pos == start {
		c, _ := utf8.DecodeRuneInString(r.src[start:])
		failAt(start, "unexpected character %q", c)
	}
	if r.pos < len(r.src) && r.src[r.pos] == '"' {
		failAt(r.pos, "a string must be separated from what stands before it")
	}
	return node{kind: atom, pos: start, text: r.src[start:r.pos]}
}

func isIDChar(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte("\"(),;[]{}", c) < 0
}

// stringLiteral finds the end of a string; unescape decodes it where it is used.
func (r *reader) stringLiteral() node {
	r.count()
	start := r.pos
	for r.pos++; r.pos < len(r.src); r.pos++ {
		switch c := r.src[r.pos]; {
		case c == '\\':
			r.pos++
		case c == '"':
			r.pos++
			if r.pos < len(r.src) && (isIDChar(r.src[r.pos]) || r.src[r.pos] == '"') {
				failAt(r.pos, "a string must be separated from what follows it")
			}
			return node{kind: text, pos: start, text: r.src[start+1 : r.pos-1]}
		case c < 0x20 || c == 0x7f:
			failAt(r.pos, "control character 0x%02x in a string: write it as \\%02x", c, c)
		}
	}
	failAt(start, "this string is not closed")
	return node{}
}

// unescape decodes a string literal to its bytes (section 6.3.3).
func (n *node) unescape() []byte {
	if n.kind != text {
		failAt(n.pos, "expected a string, found %s", n.what())
	}
	s := n.text
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		at := n.pos + 1 + i
		i++
		if i == len(s) {
			failAt(at, "escape without a character")
		}
		switch s[i] {
		case 't':
			out = append(out, '\t')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case '"', '\'', '\\':
			out = append(out, s[i])
		case 'u':
			var r rune
			r, i = unicodeEscape(s, i, at)
			out = utf8.AppendRune(out, r)
		default:
			if i+1 >= len(s) || hexVal(s[i]) < 0 || hexVal(s[i+1]) < 0 {
				failAt(at, "unknown escape: expected \\n, \\t, \\r, \\\", \\', \\\\, \\hh or \\u{…}")
			}
			out = append(out, byte(hexVal(s[i])<<4|hexVal(s[i+1])))
			i++
		}
	}
	return out
}

// unicodeEscape reads u{hex} at s[i:] and returns the index of its last byte.
func unicodeEscape(s string, i, at int) (rune, int) {
	end := strings.IndexByte(s[i:], '}')
	if !strings.HasPrefix(s[i:], "u{") || end < 3 || end > 10 {
		failAt(at, "expected \\u{…} with the hexadecimal number of a character")
	}
	r := rune(0)
	for _, c := range []byte(s[i+2 : i+end]) {
		v := hexVal(c)
		if v < 0 {
			failAt(at, "%q is no hexadecimal digit", c)
		}
		if r = r<<4 | rune(v); r > utf8.MaxRune {
			break
		}
	}
	if !utf8.ValidRune(r) {
		failAt(at, "there is no such character")
	}
	return r, i + end
}

func hexVal(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// name decodes a string that must be UTF-8: names of imports and exports.
func (n *node) name() string {
	b := n.unescape()
	if !utf8.Valid(b) {
		failAt(n.pos, "a name must be valid UTF-8")
	}
	return string(b)
}
