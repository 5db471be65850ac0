// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// The verifier runs here, in a thread of its own, so that the page stays alive.
// Messages: {id, evidence, options} in, {id, answer} out; first {ready} once.
"use strict";
importScripts("wasm_exec.js");

const go = new Go();
const ready = WebAssembly.instantiateStreaming(fetch("enarx-verify-js.wasm"), go.importObject).then((made) => {
  go.run(made.instance);
  postMessage({ ready: true });
}, (err) => postMessage({ failed: String(err) }));

onmessage = async (event) => {
  await ready;
  const { id, evidence, options } = event.data;
  postMessage({ id, answer: globalThis.enarxVerify(evidence, options) });
};
