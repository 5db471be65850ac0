// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

//go:build js

package main

import (
	"errors"
	"fmt"
	"syscall/js"

	"github.com/enarx/enarx-go/attest/call"
)

func main() {
	js.Global().Set("enarxVerify", js.FuncOf(func(_ js.Value, args []js.Value) any {
		r, err := request(args)
		if err != nil {
			return string(call.Failure(err))
		}
		answer, _, err := r.Answer()
		if err != nil {
			answer = call.Failure(err)
		}
		return string(answer)
	}))
	select {} // the function lives as long as the page
}

// request takes the arguments of enarxVerify. Every one of them may be of any
// type that JavaScript has.
func request(args []js.Value) (*call.Request, error) {
	if len(args) < 1 || len(args) > 2 {
		return nil, fmt.Errorf("%d arguments, expected evidence and options", len(args))
	}
	r := new(call.Request)
	var err error
	if r.Evidence, err = file("evidence", args[0]); err != nil {
		return nil, err
	}
	if len(args) == 1 || args[1].IsUndefined() {
		return r, nil
	}
	o := args[1]
	if o.Type() != js.TypeObject {
		return nil, errors.New("options are no object")
	}
	names := js.Global().Get("Object").Call("keys", o)
	for i := range names.Length() {
		name := names.Index(i).String()
		if err := set(r, name, o.Get(name)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// set fills in one option. One that is undefined or null is absent.
func set(r *call.Request, name string, v js.Value) (err error) {
	if v.IsUndefined() || v.IsNull() {
		return nil
	}
	text := func(to *string) error {
		if v.Type() != js.TypeString {
			return fmt.Errorf("%s is no text", name)
		}
		*to = v.String()
		return nil
	}
	switch name {
	case "at":
		return text(&r.At)
	case "reportData":
		return text(&r.ReportData)
	case "hostData":
		return text(&r.HostData)
	case "replay":
		if v.Type() != js.TypeBoolean {
			return errors.New("replay is neither true nor false")
		}
		r.Replay = v.Bool()
	case "policy":
		r.Policy, err = file(name, v)
	case "collateral":
		r.Collateral, err = files(name, v)
	case "references":
		r.References, err = files(name, v)
	case "tpmRoots":
		r.TPMRoots, err = files(name, v)
	case "referenceKeys":
		r.ReferenceKeys, err = files(name, v)
	default:
		return fmt.Errorf("unknown option %.40q", name)
	}
	return err
}

func files(what string, v js.Value) ([][]byte, error) {
	if !v.InstanceOf(js.Global().Get("Array")) || v.Length() > call.MaxFiles {
		return nil, fmt.Errorf("%s is no array of at most %d files", what, call.MaxFiles)
	}
	out := make([][]byte, 0, v.Length())
	for i := range v.Length() {
		b, err := file(what, v.Index(i))
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// file copies a Uint8Array, whose size is looked at first.
func file(what string, v js.Value) ([]byte, error) {
	if !v.InstanceOf(js.Global().Get("Uint8Array")) {
		return nil, fmt.Errorf("%s is no Uint8Array", what)
	}
	if n := v.Length(); n > call.MaxRequest {
		return nil, fmt.Errorf("%s of %d bytes, expected at most %d", what, n, call.MaxRequest)
	}
	b := make([]byte, v.Length())
	js.CopyBytesToGo(b, v)
	return b, nil
}
