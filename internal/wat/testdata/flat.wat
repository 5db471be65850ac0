;; Flat instructions, every kind of block, labels that shadow each other.
(module
  (type $binary (func (param $a i32) (param $b i32) (result i32)))
  (func $add (type $binary) (param $x i32) (param $y i32) (result i32)
    local.get $x local.get $y i32.add)
  (func $unnamed (type 0) local.get 0 local.get 1 i32.sub)
  (func (export "blocks") (param $n i32) (result i32)
    (local $i i32) (local i64 i64 f32) (local $z f64)
    block $l
      loop $l
        local.get $i
        i32.const 1
        i32.add
        local.tee $i
        local.get $n
        i32.ge_u
        br_if 1
        br $l
      end $l
    end
    local.get $i
    if $c (result i32)
      i32.const -1
    else $c
      i32.const 0x7fff_ffff
    end $c
    block (result i32 i32)
      i32.const 1 i32.const 2
    end
    block (param i32 i32) (result i32)
      i32.mul
    end
    i32.or
    local.get 0
    if else end
    local.get 0
    if
      nop
    else
    end)
  (func $table (param i32)
    block block block
      local.get 0
      br_table 0 1 2 1
    end end end
    block $a block $b
      local.get 0
      (br_table $a $b 2 (local.get 0))
    end end)
  (func $consts
    i32.const -2147483648 drop i32.const 4294967295 drop i32.const 0xFFFF_FFFF drop
    i64.const -9223372036854775808 drop i64.const 18446744073709551615 drop i64.const +63 drop i64.const 64 drop
    f32.const 1.5 drop f32.const -0 drop f32.const 0x1.8p3 drop f32.const 0x1.8 drop f32.const 1e-45 drop
    f32.const inf drop f32.const -inf drop f32.const nan drop f32.const -nan drop f32.const nan:0x200000 drop
    f32.const 16777217 drop f32.const 0x1.000001p0 drop f32.const 3.4028234e38 drop f32.const 1_0.2_5e1_0 drop
    f64.const 0.1 drop f64.const 1. drop f64.const 1.e5 drop
    f64.const 0x1p-1074 drop f64.const 1.7976931348623157e308 drop f64.const nan:0xfffffffffffff drop
    f64.const 123456789012345678901234567890.123456789 drop)
)
