// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// node wasi.mjs GUEST=HOST... -- MODULE [ARGS...]
//
// Runs a WASI module with Node.js's own WASI, as the reference that examples
// are compared with where no native build of the same program exists.
import { readFile } from "node:fs/promises";
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { WASI } from "node:wasi";

// In Node 20's fast calls of its WASI the collector may take what is in use.
setFlagsFromString("--no-turbo-fast-api-calls");

const split = process.argv.indexOf("--");
const preopens = Object.fromEntries(process.argv.slice(2, split).map((d) => d.split("=")));
const [file, ...args] = process.argv.slice(split + 1);
const wasi = new WASI({
  version: "preview1",
  args: ["main.wasm", ...args],
  env: JSON.parse(process.env.GUEST_ENV ?? "{}"),
  preopens,
  returnOnExit: true,
});
const module = await WebAssembly.compile(await readFile(file));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
// Ruby's module has an _initialize besides, which Node.js does not want to see.
const { memory, _start } = instance.exports;
process.exitCode = wasi.start({ exports: { memory, _start } });
