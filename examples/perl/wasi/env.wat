;; Copyright The Enarx in Go Authors
;; SPDX-License-Identifier: Apache-2.0
;;
;; What npm's Perl imports to call its host with. Here is nothing to call.
(module
  (func (export "call_host_function") (param i32 i32 i32) (result i32) unreachable))
