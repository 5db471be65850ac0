// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

package wat

import (
	"strings"
	"sync"
)

// imm is the shape of an instruction's immediates.
type imm uint8

const (
	immNone       imm = iota
	immLabel          // one label
	immLabels         // br_table: labels, the last is the default
	immFunc           // function
	immIndirect       // call_indirect: table, type use
	immLocal          // local
	immGlobal         // global
	immTable          // table, 0 if not written
	immMemory         // memory, 0 if not written, one byte in the binary
	immMemArg         // offset= and align=; op.align is the natural one
	immI32            // constants
	immI64            //
	immF32            //
	immF64            //
	immHeapType       // ref.null
	immSelect         // select with or without types
	immMemInit        // memory.init: data segment
	immData           // data.drop
	immMemCopy        // memory.copy: two memories
	immTableInit      // table.init: table, element segment
	immElem           // elem.drop
	immTableCopy      // table.copy: two tables
	immStructured     // block, loop, if
)

// op is one instruction of the WebAssembly 2.0 core specification, section 5.4.
type op struct {
	code  []byte
	imm   imm
	align uint32 // log2 of the natural alignment of a memory access
}

// ops is the instruction table, by name. It is made on first use: a program that
// runs a .wasm file does not pay for it at start.
var ops = sync.OnceValue(makeOps)

func makeOps() map[string]op {
	m := map[string]op{
		"unreachable": {code: []byte{0x00}}, "nop": {code: []byte{0x01}},
		"block": {code: []byte{0x02}, imm: immStructured},
		"loop":  {code: []byte{0x03}, imm: immStructured},
		"if":    {code: []byte{0x04}, imm: immStructured},
		"br":    {code: []byte{0x0c}, imm: immLabel}, "br_if": {code: []byte{0x0d}, imm: immLabel},
		"br_table": {code: []byte{0x0e}, imm: immLabels},
		"return":   {code: []byte{0x0f}},
		"call":     {code: []byte{0x10}, imm: immFunc}, "call_indirect": {code: []byte{0x11}, imm: immIndirect},
		"drop": {code: []byte{0x1a}}, "select": {code: []byte{0x1b}, imm: immSelect},
		"local.get": {code: []byte{0x20}, imm: immLocal}, "local.set": {code: []byte{0x21}, imm: immLocal},
		"local.tee":  {code: []byte{0x22}, imm: immLocal},
		"global.get": {code: []byte{0x23}, imm: immGlobal}, "global.set": {code: []byte{0x24}, imm: immGlobal},
		"table.get": {code: []byte{0x25}, imm: immTable}, "table.set": {code: []byte{0x26}, imm: immTable},
		"memory.size": {code: []byte{0x3f}, imm: immMemory}, "memory.grow": {code: []byte{0x40}, imm: immMemory},
		"i32.const": {code: []byte{0x41}, imm: immI32}, "i64.const": {code: []byte{0x42}, imm: immI64},
		"f32.const": {code: []byte{0x43}, imm: immF32}, "f64.const": {code: []byte{0x44}, imm: immF64},
		"ref.null": {code: []byte{0xd0}, imm: immHeapType}, "ref.is_null": {code: []byte{0xd1}},
		"ref.func":    {code: []byte{0xd2}, imm: immFunc},
		"memory.init": {code: []byte{0xfc, 8}, imm: immMemInit}, "data.drop": {code: []byte{0xfc, 9}, imm: immData},
		"memory.copy": {code: []byte{0xfc, 10}, imm: immMemCopy}, "memory.fill": {code: []byte{0xfc, 11}, imm: immMemory},
		"table.init": {code: []byte{0xfc, 12}, imm: immTableInit}, "elem.drop": {code: []byte{0xfc, 13}, imm: immElem},
		"table.copy": {code: []byte{0xfc, 14}, imm: immTableCopy}, "table.grow": {code: []byte{0xfc, 15}, imm: immTable},
		"table.size": {code: []byte{0xfc, 16}, imm: immTable}, "table.fill": {code: []byte{0xfc, 17}, imm: immTable},
	}
	for i, a := range strings.Fields(memoryOps) {
		name, align, _ := strings.Cut(a, "/")
		m[name] = op{code: []byte{byte(0x28 + i)}, imm: immMemArg, align: uint32(align[0] - '0')}
	}
	for i, name := range strings.Fields(numericOps) {
		m[name] = op{code: []byte{byte(0x45 + i)}}
	}
	for i, name := range strings.Fields(saturatingOps) {
		m[name] = op{code: []byte{0xfc, byte(i)}}
	}
	return m
}

// memoryOps are loads and stores from 0x28, with log2 of the natural alignment.
const memoryOps = `i32.load/2 i64.load/3 f32.load/2 f64.load/3
 i32.load8_s/0 i32.load8_u/0 i32.load16_s/1 i32.load16_u/1
 i64.load8_s/0 i64.load8_u/0 i64.load16_s/1 i64.load16_u/1 i64.load32_s/2 i64.load32_u/2
 i32.store/2 i64.store/3 f32.store/2 f64.store/3
 i32.store8/0 i32.store16/1 i64.store8/0 i64.store16/1 i64.store32/2`

// numericOps are the instructions without immediates from 0x45.
const numericOps = `i32.eqz i32.eq i32.ne i32.lt_s i32.lt_u i32.gt_s i32.gt_u i32.le_s i32.le_u i32.ge_s i32.ge_u
 i64.eqz i64.eq i64.ne i64.lt_s i64.lt_u i64.gt_s i64.gt_u i64.le_s i64.le_u i64.ge_s i64.ge_u
 f32.eq f32.ne f32.lt f32.gt f32.le f32.ge f64.eq f64.ne f64.lt f64.gt f64.le f64.ge
 i32.clz i32.ctz i32.popcnt i32.add i32.sub i32.mul i32.div_s i32.div_u i32.rem_s i32.rem_u
 i32.and i32.or i32.xor i32.shl i32.shr_s i32.shr_u i32.rotl i32.rotr
 i64.clz i64.ctz i64.popcnt i64.add i64.sub i64.mul i64.div_s i64.div_u i64.rem_s i64.rem_u
 i64.and i64.or i64.xor i64.shl i64.shr_s i64.shr_u i64.rotl i64.rotr
 f32.abs f32.neg f32.ceil f32.floor f32.trunc f32.nearest f32.sqrt
 f32.add f32.sub f32.mul f32.div f32.min f32.max f32.copysign
 f64.abs f64.neg f64.ceil f64.floor f64.trunc f64.nearest f64.sqrt
 f64.add f64.sub f64.mul f64.div f64.min f64.max f64.copysign
 i32.wrap_i64 i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u
 i64.extend_i32_s i64.extend_i32_u i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u
 f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u f32.demote_f64
 f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s f64.convert_i64_u f64.promote_f32
 i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64
 i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s`

// saturatingOps are 0xfc 0 to 7.
const saturatingOps = `i32.trunc_sat_f32_s i32.trunc_sat_f32_u i32.trunc_sat_f64_s i32.trunc_sat_f64_u
 i64.trunc_sat_f32_s i64.trunc_sat_f32_u i64.trunc_sat_f64_s i64.trunc_sat_f64_u`
