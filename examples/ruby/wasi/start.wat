;; Copyright The Enarx in Go Authors
;; SPDX-License-Identifier: Apache-2.0
;;
;; A _start for npm's Ruby, which is a library: it starts the interpreter, has it
;; load the script that the first argument names, and exits as the script says.
;; Everything is kept in Ruby's own memory, and nothing of it is given back.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "ruby" "memory" (memory 1))
  (import "ruby" "_initialize" (func $initialize))
  (import "ruby" "cabi_realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
  (import "ruby" "ruby-init: func(args: list<string>) -> ()" (func $init (param i32 i32)))
  (import "ruby" "rb-eval-string-protect: func(str: string) -> tuple<handle<rb-abi-value>, s32>"
    (func $eval (param i32 i32) (result i32)))
  ;; UTF-8, no RubyGems, whose files are not in this module, and a program that
  ;; does nothing: without one Ruby would read it from standard input.
  (data $options "-EUTF-8\00--disable-gems\00-e_=0\00") ;; 29 bytes
  (data $program ;; 196 bytes
    "status = 0\n"
    "begin\n"
    "  load(ARGV.shift)\n"
    "rescue SystemExit => e\n"
    "  status = e.status\n"
    "rescue Exception => e\n"
    "  $stderr.puts(e.full_message(highlight: false))\n"
    "  status = 1\n"
    "end\n"
    "$stdout.flush\n"
    "exit!(status)\n"
    "\00")

  (func $new (param $size i32) (result i32)
    (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (local.get $size)))

  ;; put writes the string at $at as item $i of the list, and returns what is after it.
  (func $put (param $list i32) (param $i i32) (param $at i32) (result i32)
    (local $end i32)
    (local.set $end (local.get $at))
    (loop $more
      (local.set $end (i32.add (local.get $end) (i32.const 1)))
      (br_if $more (i32.load8_u (i32.sub (local.get $end) (i32.const 1)))))
    (local.set $list (i32.add (local.get $list) (i32.shl (local.get $i) (i32.const 3))))
    (i32.store (local.get $list) (local.get $at))
    (i32.store offset=4 (local.get $list) (i32.sub (local.get $end) (local.get $at)))
    (local.get $end))

  (func (export "_start")
    (local $sizes i32) (local $argc i32) (local $argv i32) (local $list i32) (local $at i32) (local $i i32)
    (call $initialize)

    ;; The arguments of this program, with three of ours after the first.
    (local.set $sizes (call $new (i32.const 8)))
    (if (call $args_sizes_get (local.get $sizes) (i32.add (local.get $sizes) (i32.const 4))) (then unreachable))
    (local.set $argc (i32.load (local.get $sizes)))
    (local.set $argv (call $new (i32.shl (local.get $argc) (i32.const 2))))
    (if (call $args_get (local.get $argv) (call $new (i32.load offset=4 (local.get $sizes)))) (then unreachable))
    (local.set $list (call $new (i32.shl (i32.add (local.get $argc) (i32.const 3)) (i32.const 3))))
    (drop (call $put (local.get $list) (i32.const 0) (i32.load (local.get $argv))))
    (local.set $at (call $new (i32.const 29)))
    (memory.init $options (local.get $at) (i32.const 0) (i32.const 29))
    (local.set $at (call $put (local.get $list) (i32.const 1) (local.get $at)))
    (local.set $at (call $put (local.get $list) (i32.const 2) (local.get $at)))
    (drop (call $put (local.get $list) (i32.const 3) (local.get $at)))
    (local.set $i (i32.const 1))
    (block $done
      (loop $more
        (br_if $done (i32.ge_u (local.get $i) (local.get $argc)))
        (drop (call $put (local.get $list) (i32.add (local.get $i) (i32.const 3))
          (i32.load (i32.add (local.get $argv) (i32.shl (local.get $i) (i32.const 2))))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $more)))
    (call $init (local.get $list) (i32.add (local.get $argc) (i32.const 3)))

    (local.set $at (call $new (i32.const 196)))
    (memory.init $program (local.get $at) (i32.const 0) (i32.const 196))
    (drop (call $eval (local.get $at) (i32.const 196)))
    unreachable))
