// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

const line = /^(?<level>\p{Lu}+)\s+(?<source>[\w.-]+)\s+(?<message>.*\S)/u;

// parse yields the lines of a log that are understood.
export function* parse(text) {
  for (const l of text.split("\n")) {
    const found = line.exec(l);
    if (found) yield found.groups;
  }
}
