;; Copyright The Enarx in Go Authors
;; SPDX-License-Identifier: Apache-2.0
;;
;; Handles of values between npm's Ruby and its host: a value is its own handle.
(module
  (func (export "resource_drop_js-abi-value") (param i32) nop)
  (func (export "resource_new_rb-abi-value") (param i32) (result i32) local.get 0)
  (func (export "resource_get_rb-abi-value") (param i32) (result i32) local.get 0)
)
