// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// node js.cjs WASM_EXEC WASM REQUESTS: answers of enarxVerify, as a JSON array
// of texts. A request is {evidence, options} with files in base64.
"use strict";
const fs = require("node:fs");
const [exec, wasm, requests] = process.argv.slice(2);
require(exec); // defines Go

const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const go = new Go();
WebAssembly.instantiate(fs.readFileSync(wasm), go.importObject).then(({ instance }) => {
  go.run(instance);
  const answers = JSON.parse(fs.readFileSync(requests, "utf8")).map(({ evidence, options }) => {
    for (const name of ["collateral", "references", "referenceKeys"]) {
      options[name] = options[name]?.map(bytes);
    }
    options.policy = options.policy && bytes(options.policy);
    return enarxVerify(bytes(evidence), options);
  });
  // What is no request at all must be answered as well, and must not end the program.
  const odd = [[], [1], ["x"], [null], [{}], [new Uint8Array(1), 1], [new Uint8Array(1), { at: 1 }], [new Uint8Array(1), { odd: 1 }],
    [new Uint8Array(1), { collateral: "x" }], [new Uint8Array(1), { collateral: [1] }], [new Uint8Array(1), { replay: "yes" }],
    [new Uint8Array(1), { collateral: new Array(2000).fill(new Uint8Array(1)) }], [new Uint8Array(1), null], [new Uint8Array(1)],
    [new Uint8Array(1), {}, 3], [new Uint8Array(100 << 20), {}], [new Proxy({}, {})], [Symbol("x")], [new DataView(new ArrayBuffer(3))]];
  for (const args of odd) {
    const answer = JSON.parse(enarxVerify(...args));
    if (typeof answer.error !== "string") {
      throw new Error("no error for odd arguments: " + JSON.stringify(answer));
    }
  }
  fs.writeSync(1, JSON.stringify(answers));
  process.exit(0);
});
