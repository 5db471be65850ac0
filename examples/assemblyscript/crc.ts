// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0
//
// Reads all of standard input, prints its CRC-32 and its most frequent bytes,
// and ends with code 3 where there is none. Its argument is how many bytes to
// list.

function table(): StaticArray<u32> {
  const t = new StaticArray<u32>(256);
  for (let i: u32 = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >> 1) : c >> 1;
    t[i] = c;
  }
  return t;
}

class Count {
  constructor(public byte: i32, public times: u32) {}
}

function name(byte: i32): string {
  return byte > 32 && byte < 127 ? String.fromCharCode(byte) : "0x" + byte.toString(16).padStart(2, "0");
}

const crcs = table();
const counts = new Array<Count>();
for (let i = 0; i < 256; i++) counts.push(new Count(i, 0));

let crc: u32 = ~0;
let total: u64 = 0;
const buffer = new ArrayBuffer(4096);
for (;;) {
  const n = process.stdin.read(buffer);
  if (n <= 0) break;
  const bytes = Uint8Array.wrap(buffer, 0, n);
  for (let i = 0; i < n; i++) {
    crc = crcs[(crc ^ bytes[i]) & 0xff] ^ (crc >> 8);
    counts[bytes[i]].times++;
  }
  total += n;
}

if (total == 0) {
  console.error("nothing on standard input");
  process.exit(3);
}
console.log(total.toString() + " bytes, CRC-32 " + (~crc).toString(16).padStart(8, "0"));
counts.sort((a, b) => a.times == b.times ? a.byte - b.byte : <i32>(b.times - a.times));
const list = process.argv.length > 1 ? <i32>parseInt(process.argv[1]) : 3;
for (let i = 0; i < list && counts[i].times > 0; i++) {
  console.log(name(counts[i].byte) + " " + counts[i].times.toString() + " " +
    (100.0 * counts[i].times / <f64>total).toString());
}
