// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Asks @phala/dcap-qvl for its verdict on each line of standard input, a JSON
// object with "quote" (hexadecimal), "now" (seconds) and "collateral" as its
// verify takes it, and prints one line of JSON for each.
const { verify } = require("@phala/dcap-qvl");

require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { quote, now, collateral } = JSON.parse(line);
  let answer;
  try {
    const report = verify(Buffer.from(quote, "hex"), collateral, now);
    answer = { status: report.status, advisories: report.advisory_ids };
  } catch (e) {
    answer = { error: e.message + (e.cause ? ": " + e.cause.message : "") };
  }
  console.log(JSON.stringify(answer));
});
