// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// node wasip1.cjs WASM INPUTS SCRATCH: what the program does with each input, a
// base64 text, as a JSON array of {code, stdout}.
"use strict";
// Node 20 calls its WASI functions by V8's fast calls, in which the collector
// must not run, but they allocate: a long program may see its own WASI object
// taken away and the process abort.
require("node:v8").setFlagsFromString("--no-turbo-fast-api-calls");
const fs = require("node:fs");
const path = require("node:path");
const { WASI } = require("node:wasi");
const [wasm, inputs, scratch] = process.argv.slice(2);
const module_ = new WebAssembly.Module(fs.readFileSync(wasm));

const results = JSON.parse(fs.readFileSync(inputs, "utf8")).map((input, i) => {
  const [inFile, outFile] = ["in", "out"].map((n) => path.join(scratch, n + i));
  fs.writeFileSync(inFile, Buffer.from(input, "base64"));
  const stdin = fs.openSync(inFile, "r");
  const stdout = fs.openSync(outFile, "w");
  const wasi = new WASI({ version: "preview1", args: ["enarx-verify"], env: {}, stdin, stdout, returnOnExit: true });
  const code = wasi.start(new WebAssembly.Instance(module_, wasi.getImportObject()));
  fs.closeSync(stdin);
  fs.closeSync(stdout);
  return { code, stdout: fs.readFileSync(outFile, "utf8") };
});
fs.writeSync(1, JSON.stringify(results));
