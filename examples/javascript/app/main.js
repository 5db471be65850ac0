// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0
//
// Reads a log ("LEVEL source message" a line), and prints what it says of each
// source as JSON. Its arguments are the levels to leave out.
import { parse } from "./log.js";

const left_out = new Set(args);
const sources = new Map();

for (const { level, source, message } of parse(stdin())) {
  if (left_out.has(level)) continue;
  const of = sources.get(source) ?? { lines: 0, levels: {}, last: null };
  of.lines++;
  of.levels[level] = (of.levels[level] ?? 0) + 1;
  of.last = message.normalize("NFC");
  sources.set(source, of);
}

await Promise.resolve(); // what stands after it runs as a job
print(JSON.stringify(Object.fromEntries([...sources].sort()), null, 1));

const total = [...sources.values()].reduce((n, s) => n + BigInt(s.lines), 0n);
print(`${total} lines, 2**${total} = ${2n ** total}`);
if (total === 0n) throw new RangeError("no lines");
