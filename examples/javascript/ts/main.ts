// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0
//
// Evaluates arithmetic, one expression a line.
import { evaluate, type Result } from "./expression.js";

let wrong = 0;
for (const line of stdin().split("\n").filter((l) => l.trim() !== "")) {
  const result: Result = evaluate(line);
  if (result.kind === "value") {
    print(`${line.trim()} = ${result.value}`);
  } else {
    wrong++;
    print(`${line.trim()}: ${result.problem} at ${result.at + 1}`);
  }
}
if (wrong > 0) throw new Error(`${wrong} wrong lines`);
