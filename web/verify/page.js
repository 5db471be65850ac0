// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Everything that comes out of evidence is a stranger's text. It gets onto the
// page as textContent and in no other way.
"use strict";

const $ = (id) => document.getElementById(id);
const worker = new Worker("worker.js");
const waiting = new Map();
let last = 0;

worker.onmessage = (event) => {
  const m = event.data;
  if (m.ready) {
    $("state").textContent = "";
    $("go").disabled = false;
  } else if (m.failed) {
    $("state").textContent = "the verifier could not be loaded: " + m.failed;
  } else {
    waiting.get(m.id)(m.answer);
    waiting.delete(m.id);
  }
};

// verify asks the verifier; the answer is its JSON as text.
function verify(evidence, options) {
  return new Promise((resolve) => {
    waiting.set(++last, resolve);
    worker.postMessage({ id: last, evidence, options });
  });
}

const bytes = async (file) => new Uint8Array(await file.arrayBuffer());
const all = (input) => Promise.all(Array.from(input.files, bytes));

// printable shows what does not print, or turns the direction of text, as its
// code: text that looks like something else must not.
function printable(text) {
  return String(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => "\\u" + c.codePointAt(0).toString(16).padStart(4, "0"));
}

function put(parent, tag, text, className) {
  const e = document.createElement(tag);
  e.textContent = printable(text);
  if (className) {
    e.className = className;
  }
  parent.append(e);
  return e;
}

const outcomes = ["verified", "simulated", "warning", "failed", "skipped"];

function showRows(rows) {
  $("rows").replaceChildren();
  for (const row of rows) {
    const tr = document.createElement("tr");
    put(tr, "td", row.outcome, "outcome " + (outcomes.includes(row.outcome) ? row.outcome : ""));
    put(tr, "td", row.check);
    put(tr, "td", row.seen);
    let rest = row.expected + " (" + row.source + ")";
    if (row.todo) {
      rest += ". Do: " + row.todo;
    }
    put(tr, "td", rest);
    $("rows").append(tr);
  }
}

function showTrust(layers) {
  $("trust").replaceChildren();
  for (const l of layers || []) {
    const tr = document.createElement("tr");
    put(tr, "td", l.layer);
    put(tr, "td", l.standing);
    put(tr, "td", l.words);
    $("trust").append(tr);
  }
}

function show(text) {
  const answer = JSON.parse(text);
  $("json").textContent = printable(text.replaceAll("\n", "␊")).replaceAll("␊", "\n");
  $("changes").replaceChildren();
  $("summary").textContent = "";
  $("answer").hidden = false;
  if (answer.error !== undefined) {
    $("headline").className = "no";
    $("headline").textContent = printable("Not appraised: " + answer.error);
    showRows([]);
    showTrust([]);
    return;
  }
  const replayed = answer.result !== undefined;
  const result = replayed ? answer.result : answer;
  const skipped = result.rows.filter((r) => r.outcome === "skipped").map((r) => r.check);
  $("headline").className = result.accepted ? "yes" : "no";
  $("headline").textContent = printable((result.accepted ? "Accepted" : "Refused (" + result.reason + ")") +
    ": evidence of platform " + (result.platform || "unknown") + " at " + result.at);
  let summary = skipped.length > 0 ? "Not checked: " + skipped.join(", ") + ". " : "";
  if (replayed) {
    summary += answer.same
      ? "The same verdict as the one recorded in the bundle at " + answer.recorded_at + ", under the demands in the bundle."
      : answer.changes.length + " differences from the verdict recorded in the bundle at " + answer.recorded_at + ":";
    for (const c of answer.changes) {
      put($("changes"), "li", c.part + " " + c.name + ": was " + JSON.stringify(c.was) + ", is " + JSON.stringify(c.is));
    }
    for (const s of answer.not_counted) {
      put($("changes"), "li", "not counted: " + s);
    }
  }
  $("summary").textContent = printable(summary);
  showRows(result.rows);
  showTrust(result.trust);
}

const bundleType = new TextEncoder().encode("tag:github.com,2026:enarx/enarx-go/evidence-bundle/");

// isBundle looks for the type of an evidence bundle; the verifier decides.
function isBundle(b) {
  outer: for (let i = 0; i + bundleType.length <= b.length; i++) {
    for (let j = 0; j < bundleType.length; j++) {
      if (b[i + j] !== bundleType[j]) {
        continue outer;
      }
    }
    return b[0] >= 0xa0 && b[0] <= 0xbf;
  }
  return false;
}

async function appraise(evidence, collateral) {
  $("state").textContent = "appraising…";
  $("go").disabled = true;
  const at = $("at").value.trim();
  const options = {
    policy: $("policy").files.length > 0 ? await bytes($("policy").files[0]) : undefined,
    references: $("references").files.length > 0 ? await all($("references")) : undefined,
    referenceKeys: $("keys").files.length > 0 ? await all($("keys")) : undefined,
    tpmRoots: $("tpmroots").files.length > 0 ? await all($("tpmroots")) : undefined,
    reportData: $("report").value.trim() || undefined,
    collateral: collateral.length > 0 ? collateral : undefined,
    at: at || undefined,
  };
  const demands = options.policy || options.references || options.reportData || options.collateral;
  if (isBundle(evidence) && !demands) {
    options.replay = true;
  } else {
    options.at = at || new Date().toISOString().slice(0, 19) + "Z";
  }
  const answer = await verify(evidence, options);
  $("state").textContent = "";
  $("go").disabled = false;
  show(answer);
  return answer;
}

$("go").onclick = async () => {
  if ($("evidence").files.length === 0) {
    $("state").textContent = "choose a file of evidence first";
    return;
  }
  await appraise(await bytes($("evidence").files[0]), await all($("collateral")));
};

$("drop").ondragover = (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
};
$("drop").ondragleave = () => $("drop").classList.remove("over");

// Of files that are dropped together, that is the evidence which the verifier
// recognises as such; the rest goes beside it.
$("drop").ondrop = async (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  const dropped = await Promise.all(Array.from(event.dataTransfer.files, bytes));
  if (dropped.length === 0 || $("go").disabled) {
    return;
  }
  let evidence = 0;
  for (let i = 0; dropped.length > 1 && i < dropped.length; i++) {
    const answer = JSON.parse(await verify(dropped[i], { at: "2000-01-01T00:00:00Z" }));
    if (answer.format) {
      evidence = i;
      break;
    }
  }
  await appraise(dropped[evidence], dropped.filter((_, i) => i !== evidence));
};
