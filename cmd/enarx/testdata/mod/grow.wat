;; Says so, and takes memory and writes to it until it is given no more.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "growing\n")
  (func (export "_start") (local $p i32) (local $i i32)
    (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 8))
    (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (loop $l
      (local.set $p (memory.grow (i32.const 16)))
      (if (i32.eq (local.get $p) (i32.const -1)) (then unreachable))
      (local.set $p (i32.mul (local.get $p) (i32.const 65536)))
      (local.set $i (i32.const 0))
      (loop $t
        (i32.store (i32.add (local.get $p) (i32.mul (local.get $i) (i32.const 4096))) (i32.const 1))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $t (i32.lt_u (local.get $i) (i32.const 256))))
      (br $l))))
