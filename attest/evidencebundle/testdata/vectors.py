#!/usr/bin/env python3
# Copyright The Enarx in Go Authors
# SPDX-License-Identifier: Apache-2.0
"""A second implementation of ../SPEC.md: it makes the test vectors and checks files.

    vectors.py              rewrite vectors.json beside it
    vectors.py check FILE   say what is in an evidence bundle, or why it is none

It shares no code with the Go package and uses nothing beyond Python's standard
library, so that the vectors are more than a record of what the package does.
"""
import calendar
import hashlib
import json
import os
import sys
import time

TYPE = "tag:github.com,2026:enarx/enarx-go/evidence-bundle/1"
OWN = "application/vnd.enarx."
REFERENCES = "application/vnd.dsse.envelope.v1+json"
PROOF = OWN + "c2sp-tlog-proof"
POLICY = OWN + "appraisal-policy"
REQUEST = OWN + "appraisal-request+cbor"
VERDICT = OWN + "appraisal-result+json"
DIGEST = OWN + "sha-256"
LOGS = (OWN + "tcg-event-log", OWN + "dstack-event-log+json")
PROOF_HEAD = b"c2sp.org/tlog-proof@v1\n"
FIRST = calendar.timegm((2000, 1, 1, 0, 0, 0))
LAST = calendar.timegm((9999, 12, 31, 23, 59, 59))
# rule L1: label, most entries, most bytes of each
LISTS = {"collateral": (64, 256 << 10), "references": (8, 1 << 20), "log-proofs": (16, 64 << 10)}


class Bad(Exception):
    """The file is no evidence bundle."""


# CBOR, RFC 8949, core deterministic encoding, the few types that are needed.
def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << (8 * size):
            return bytes([major << 5 | extra]) + n.to_bytes(size, "big")
    raise ValueError(n)


def cbor(v):
    if isinstance(v, int):
        return head(0, v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list):
        return head(4, len(v)) + b"".join(cbor(x) for x in v)
    pairs = sorted((cbor(k), cbor(x)) for k, x in v.items())
    return head(5, len(pairs)) + b"".join(k + x for k, x in pairs)


def uncbor(b, at=0):
    """Read one item; say where it ends. Shortest heads only (RFC 8949, 4.2.1)."""
    if at >= len(b):
        raise Bad("cut short")
    major, low = b[at] >> 5, b[at] & 31
    at += 1
    if low < 24:
        n = low
    elif low < 28:
        size = 1 << (low - 24)
        if at + size > len(b):
            raise Bad("cut short")
        n = int.from_bytes(b[at:at + size], "big")
        at += size
    else:
        raise Bad("indefinite length")
    if major == 0:
        return n, at
    if major in (2, 3):
        if at + n > len(b):
            raise Bad("cut short")
        v = b[at:at + n]
        try:
            return (v if major == 2 else v.decode()), at + n
        except UnicodeDecodeError:
            raise Bad("text is not UTF-8")
    if major == 4:
        out = []
        for _ in range(n):
            v, at = uncbor(b, at)
            out.append(v)
        return out, at
    if major == 5:
        out = {}
        for _ in range(n):
            k, at = uncbor(b, at)
            if not isinstance(k, (int, str)) or k in out:
                raise Bad("label twice, or no label")
            out[k], at = uncbor(b, at)
        return out, at
    raise Bad("CBOR of major type %d" % major)


def item(b):
    v, end = uncbor(b)
    if end != len(b) or cbor(v) != b:
        raise Bad("not in deterministic encoding, or something follows")
    return v


# Rules B1 to D1.
def seal(parts):
    return cbor(dict(parts, digest=[DIGEST, hashlib.sha256(cbor(parts)).digest()]))


def need(ok, why):
    if not ok:
        raise Bad(why)


def record(v, media_type=None, most=0, ind=0):
    need(isinstance(v, list) and len(v) == (3 if ind else 2), "not a record of its length")
    need(isinstance(v[0], str) and (media_type is None or v[0] == media_type), "type %r" % v[0])
    need(isinstance(v[1], bytes) and 0 < len(v[1]) <= most, "value of no or too many bytes")
    need(not ind or v[2] == ind, "indicator")
    return v[1]


def numbered(parts, label):
    v = parts.get(label)
    if v is None:
        return []
    most, _ = LISTS[label]
    need(isinstance(v, dict) and 0 < len(v) <= most and set(v) == set(range(len(v))), "%s is not a list" % label)
    return [v[i] for i in range(len(v))]


def request(b, parts):
    r = item(b)
    need(isinstance(r, dict) and not set(r) - {"at", "maker", "report-data", "host-data", "policy", "reference-keys"}, "request")
    need(isinstance(r.get("at"), int) and FIRST <= r["at"] <= LAST, "time")
    m = r.get("maker")
    need(isinstance(m, str) and 1 <= len(m) <= 128 and all(" " <= c <= "~" for c in m), "maker")
    for k, n in (("report-data", 64), ("host-data", 32), ("policy", 32)):
        need(k not in r or isinstance(r[k], bytes) and len(r[k]) == n, k)
    policy = hashlib.sha256(parts["policy"][1]).digest() if "policy" in parts else None
    need(r.get("policy") == policy, "policy is another one")
    keys = r.get("reference-keys")
    need(("reference-keys" in r) == ("references" in parts), "references and keys")
    if keys is not None:
        need(isinstance(keys, list) and 1 <= len(keys) <= 64, "reference keys")
        need(all(isinstance(k, bytes) and len(k) == 32 for k in keys), "reference keys")
        need(keys == sorted(set(keys)), "reference keys are not in ascending order")
    return r


def check(b):
    need(len(b) <= 4 << 20, "too large")
    parts = item(b)
    need(isinstance(parts, dict) and parts.get("__cmwc_t") == TYPE, "type")
    known = {"__cmwc_t", "evidence", "request", "verdict", "policy", "digest"} | set(LISTS)
    need(not set(parts) - known, "unknown part")
    need({"evidence", "request", "verdict", "digest"} <= set(parts), "part missing")
    need(record(parts["digest"], DIGEST, 32) == hashlib.sha256(cbor({k: v for k, v in parts.items() if k != "digest"})).digest(), "digest")
    record(parts["evidence"], None, 1 << 20, 4)
    record(parts["verdict"], VERDICT, 1 << 20, 8)
    if "policy" in parts:
        record(parts["policy"], POLICY, 256 << 10, 16)
    for v in numbered(parts, "collateral"):
        record(v, None, LISTS["collateral"][1], 4 if v and v[0] in LOGS else 2)
    for v in numbered(parts, "references"):
        record(v, REFERENCES, LISTS["references"][1], 1)
    for v in numbered(parts, "log-proofs"):
        need(record(v, PROOF, LISTS["log-proofs"][1]).startswith(PROOF_HEAD), "log proof")
    r = request(record(parts["request"], REQUEST, 4 << 10), parts)
    return parts, r


# Vectors.
def fill(seed, n):
    return hashlib.shake_256(seed.encode()).digest(n)


def least(**more):
    r = dict({"at": calendar.timegm((2026, 11, 25, 12, 0, 0)), "maker": "vectors.py"}, **more)
    return {"__cmwc_t": TYPE, "evidence": [OWN + "sev-snp-report", b"report", 4], "request": [REQUEST, cbor(r)],
            "verdict": [VERDICT, b"{}", 8]}


def full():
    policy = b"# none\n"
    keys = sorted((fill("key 0", 32), fill("key 1", 32)))
    p = least(**{"report-data": fill("report data", 64), "host-data": fill("host data", 32),
                 "policy": hashlib.sha256(policy).digest(), "reference-keys": keys})
    p["policy"] = [POLICY, policy, 16]
    p["collateral"] = {0: ["application/pkix-cert", fill("cert", 300), 2], 1: ["application/pkix-crl", fill("crl", 70000), 2],
                       2: [LOGS[0], fill("log", 30), 4]}
    for i in range(3, 30):
        p["collateral"][i] = ["application/pkix-cert", fill("cert %d" % i, 30), 2]
    p["references"] = {0: [REFERENCES, b"{\"payload\":\"\"}", 1]}
    p["log-proofs"] = {0: [PROOF, PROOF_HEAD + b"index 0\n"]}
    return p


def changed(base, **parts):
    p = dict(base, **parts)
    return {k: v for k, v in p.items() if v is not None}


def plain(v):
    if isinstance(v, bytes):
        return v.hex()
    if isinstance(v, dict):
        return {str(k): plain(x) for k, x in v.items()}
    if isinstance(v, list):
        return [plain(x) for x in v]
    return v


def vectors():
    good = [("the least", least()), ("everything", full())]
    one = seal(least())
    req = least()["request"][1]
    bad = [
        ("nothing", b""), ("cut short", one[:-1]), ("something follows", one + b"\0"),
        ("another version", seal(changed(least(), __cmwc_t=TYPE[:-1] + "2"))),
        ("another type", seal(changed(least(), __cmwc_t="tag:example.com,2026:x"))),
        ("no type", seal(changed(least(), __cmwc_t=None))),
        ("unknown part", seal(changed(least(), extra=["a/b", b"x"]))),
        ("digest of something else", cbor(dict(least(), digest=[DIGEST, bytes(32)]))),
        ("no digest", cbor(least())),
        ("digest with an indicator", cbor(dict(item(one), digest=item(one)["digest"] + [2]))),
        ("no evidence", seal(changed(least(), evidence=None))),
        ("no verdict", seal(changed(least(), verdict=None))),
        ("no request", seal(changed(least(), request=None))),
        ("evidence without indicator", seal(changed(least(), evidence=[OWN + "sev-snp-report", b"report"]))),
        ("evidence of a content format", seal(changed(least(), evidence=[30001, b"report", 4]))),
        ("evidence is a list", seal(changed(least(), evidence={0: [OWN + "sev-snp-report", b"report", 4]}))),
        ("verdict of another type", seal(changed(least(), verdict=["application/json", b"{}", 8]))),
        ("verdict is empty", seal(changed(least(), verdict=[VERDICT, b"", 8]))),
        ("empty list", seal(changed(least(), collateral={}))),
        ("list with a gap", seal(changed(least(), collateral={0: ["a/b", b"x", 2], 2: ["a/b", b"x", 2]}))),
        ("list from 1", seal(changed(least(), collateral={1: ["a/b", b"x", 2]}))),
        ("list with names", seal(changed(least(), collateral={"0": ["a/b", b"x", 2]}))),
        ("list that is too long", seal(changed(least(), collateral={i: ["a/b", b"x", 2] for i in range(65)}))),
        ("list with a type", seal(changed(least(), collateral={"__cmwc_t": "tag:a,2026:b", 0: ["a/b", b"x", 2]}))),
        ("event log as endorsement", seal(changed(least(), collateral={0: [LOGS[0], b"x", 2]}))),
        ("certificate as evidence", seal(changed(least(), collateral={0: ["application/pkix-cert", b"x", 4]}))),
        ("entry that is too large", seal(changed(least(), collateral={0: ["a/b", bytes((256 << 10) + 1), 2]}))),
        ("policy without its digest", seal(changed(least(), policy=[POLICY, b"x", 16]))),
        ("digest without its policy", seal(least(policy=bytes(32)))),
        ("another policy", seal(changed(full(), policy=[POLICY, b"x", 16]))),
        ("references without keys", seal(changed(least(), references=full()["references"]))),
        ("keys without references", seal(least(**{"reference-keys": [bytes(32)]}))),
        ("empty list of keys", seal(changed(least(**{"reference-keys": []}), references=full()["references"]))),
        ("keys not in order", seal(changed(least(**{"reference-keys": [b"\1" * 32, bytes(32)]}), references=full()["references"]))),
        ("a key twice", seal(changed(least(**{"reference-keys": [bytes(32), bytes(32)]}), references=full()["references"]))),
        ("a key of 31 bytes", seal(changed(least(**{"reference-keys": [bytes(31)]}), references=full()["references"]))),
        ("log proof of something else", seal(changed(least(), **{"log-proofs": {0: [PROOF, b"index 0\n"]}}))),
        ("report data of 63 bytes", seal(least(**{"report-data": bytes(63)}))),
        ("host data of no bytes", seal(least(**{"host-data": b""}))),
        ("time as text", seal(least(at="2026-11-25T12:00:00Z"))),
        ("time before 2000", seal(least(at=FIRST - 1))),
        ("time after 9999", seal(least(at=LAST + 1))),
        ("maker is empty", seal(least(maker=""))),
        ("maker with a line break", seal(least(maker="a\nb"))),
        ("maker is too long", seal(least(maker="a" * 129))),
        ("unknown member of the request", seal(least(nonce=b"x"))),
        ("something follows the request", seal(changed(least(), request=[REQUEST, req + b"\0"]))),
        ("request in another order", seal(changed(least(), request=[REQUEST, b"\xa2" + req[req.index(b"\x65maker"):] + req[1:req.index(b"\x65maker")]]))),
        ("request with long heads", seal(changed(least(), request=[REQUEST, b"\xb8\x02" + req[1:]]))),
    ]
    # Encodings of the collection that no reader takes: reordered, long heads.
    pairs = sorted((cbor(k), cbor(x)) for k, x in item(one).items())
    bad.append(("parts in another order", head(5, len(pairs)) + b"".join(k + x for k, x in reversed(pairs))))
    bad.append(("long head of the map", b"\xb8" + bytes([len(pairs)]) + one[1:]))
    bad.append(("indefinite map", b"\xbf" + one[1:] + b"\xff"))
    bad.append(("part twice", head(5, len(pairs) + 1) + pairs[0][0] + pairs[0][1] + b"".join(k + x for k, x in pairs)))
    for why, b in bad:
        try:
            check(b)
        except Bad:
            continue
        raise SystemExit("vectors.py accepts: " + why)
    for _, p in good:
        check(seal(p))
    # The large ones are recipes rather than hexadecimal of a quarter megabyte.
    small = [{"why": w, "bundle": b} for w, b in bad if len(b) < 5000]
    return {
        "good": [{"why": w, "parts": {k: v for k, v in p.items() if k != "__cmwc_t"}, "request": item(p["request"][1]),
                  "bundle": seal(p) if len(seal(p)) < 5000 else b"", "sha256": hashlib.sha256(seal(p)).digest(),
                  "digest": hashlib.sha256(cbor(p)).digest()} for w, p in good],
        "bad": small}


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "check":
        with open(sys.argv[2], "rb") as f:
            try:
                parts, r = check(f.read())
            except Bad as e:
                raise SystemExit("%s: %s" % (sys.argv[2], e))
        for k, v in sorted(parts.items()):
            print(k, v if isinstance(v, str) else [x[0] for _, x in sorted(v.items())] if isinstance(v, dict) else v[0])
        print("at", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(r["at"])), "maker", r["maker"])
        return
    out = plain(vectors())
    # 70,000 bytes of the list are said in one line for the reader: SHAKE-256.
    out["good"][1]["parts"]["collateral"]["1"][1] = "SHAKE-256('crl'), 70000 bytes"
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors.json"), "w") as f:
        json.dump(out, f, indent=1)
        f.write("\n")


main()
