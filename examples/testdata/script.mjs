// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0
//
// node script.mjs SCRIPT.js [ARGS...]
//
// Runs a script of the JavaScript example with Node.js's own engine, as the
// reference for QuickJS in a Keep: the same three globals as its host.c.
import { readFileSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";

const [script, ...args] = process.argv.slice(2);
Object.assign(globalThis, {
  args,
  print: (...values) => process.stdout.write(values.join(" ") + "\n"),
  stdin: () => readFileSync(0, "utf8"),
});
await import(pathToFileURL(path.resolve(script)));
