;; Copyright The Enarx in Go Authors
;; SPDX-License-Identifier: Apache-2.0
;;
;; A _start for npm's Perl, which is a library: it starts the interpreter, has it
;; run the script that the first argument names with the arguments after it, and
;; exits with what the script returns. Perl's own exit does not come back here.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "perl" "memory" (memory 1))
  (import "perl" "_initialize" (func $initialize))
  (import "perl" "malloc" (func $malloc (param i32) (result i32)))
  (import "perl" "zeroperl_init" (func $init (result i32)))
  (import "perl" "zeroperl_flush" (func $flush (result i32)))
  (import "perl" "zeroperl_run_file" (func $run (param i32 i32 i32) (result i32)))

  (func (export "_start")
    (local $sizes i32) (local $argv i32) (local $argc i32) (local $status i32)
    (call $initialize)
    (local.set $sizes (call $malloc (i32.const 8)))
    (if (call $args_sizes_get (local.get $sizes) (i32.add (local.get $sizes) (i32.const 4))) (then unreachable))
    (local.set $argc (i32.load (local.get $sizes)))
    (local.set $argv (call $malloc (i32.shl (local.get $argc) (i32.const 2))))
    (if (i32.lt_u (local.get $argc) (i32.const 2)) (then (call $proc_exit (i32.const 2))))
    (if (call $args_get (local.get $argv) (call $malloc (i32.load offset=4 (local.get $sizes)))) (then unreachable))
    (if (call $init) (then unreachable))
    (local.set $status (call $run (i32.load offset=4 (local.get $argv))
      (i32.sub (local.get $argc) (i32.const 2)) (i32.add (local.get $argv) (i32.const 8))))
    (drop (call $flush))
    (call $proc_exit (local.get $status))))
