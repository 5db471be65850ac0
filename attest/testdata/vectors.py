#!/usr/bin/env python3
# Copyright The Enarx in Go Authors
# SPDX-License-Identifier: Apache-2.0
"""Makes the test vectors of ../SPEC.md: a second implementation of its rules.

It shares no code with the Go package and uses nothing beyond Python's standard
library, so that the vectors are more than a record of what the package does.
Run it in this directory; it rewrites the .json files beside it.
"""
import hashlib
import hmac
import json

PREFIX = "EXPORTER-Enarx-Attestation-v1 "


# CBOR, RFC 8949, core deterministic encoding, the few types that are needed.
def head(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << (8 * size):
            return bytes([major << 5 | extra]) + n.to_bytes(size, "big")
    raise ValueError(n)


def cbor(v):
    if v is None:
        return b"\xf6"
    if isinstance(v, int):
        return head(0, v)
    if isinstance(v, bytes):
        return head(2, len(v)) + v
    if isinstance(v, str):
        return head(3, len(v.encode())) + v.encode()
    return head(4, len(v)) + b"".join(cbor(x) for x in v)


def sha512(b):
    return hashlib.sha512(b).digest()


def domain(s):
    return s.encode().ljust(32, b"\0")


# TLS 1.3 exporter, RFC 8446, sections 7.1 and 7.5.
def expand_label(name, secret, label, context, length):
    label = b"tls13 " + label.encode()
    info = length.to_bytes(2, "big") + bytes([len(label)]) + label + bytes([len(context)]) + context
    out, block, i = b"", b"", 1
    while len(out) < length:
        block = hmac.new(secret, block + info + bytes([i]), name).digest()
        out, i = out + block, i + 1
    return out[:length]


def exporter(name, secret, label, length):
    empty = hashlib.new(name, b"").digest()
    derived = expand_label(name, secret, label, empty, len(empty))
    return expand_label(name, derived, "exporter", empty, length)


# Merkle tree, RFC 9162, section 2.1, with SHA-512.
def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha512(b"\x01" + root(leaves[:k]) + root(leaves[k:]))


def path(leaves, i):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if i < k:
        return path(leaves[:k], i) + [root(leaves[k:])]
    return path(leaves[k:], i - k) + [root(leaves[:k])]


def report_data(count, r):
    return sha512(domain("enarx-attest-report-data-v1") + count.to_bytes(4, "big") + r)


def leaf_bytes(f):
    return cbor(["enarx-attest-leaf-v1", f["role"], f["binding"], f["channel_key"], f["identity_key"], f["state"],
                 f["bundle_digest"], f["owner_key_hash"], f["start_config_digest"], f["runtime_version"]])


def plain(v):
    if isinstance(v, bytes):
        return v.hex()
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, list):
        return [plain(x) for x in v]
    return v


def write(name, v):
    with open(name, "w") as f:
        json.dump(plain(v), f, indent=1)
        f.write("\n")


def fill(seed, n):
    return hashlib.shake_256(seed.encode()).digest(n)


def fields(role, state):
    return {
        "role": role, "binding": fill("binding", 32), "channel_key": fill("channel", 91),
        "identity_key": fill("identity", 91), "state": state,
        "bundle_digest": fill("bundle", 32) if state == "running" else None,
        "owner_key_hash": fill("owner", 32) if state != "empty" else None,
        "start_config_digest": fill("start", 32), "runtime_version": "0.1.0+g0123456",
    }


def main():
    write("binding.json", [
        {"hash": h, "exporter_secret": fill("secret " + h, n), "role": r, "label": PREFIX + r,
         "binding": exporter(h, fill("secret " + h, n), PREFIX + r, 32)}
        for h, n in (("sha256", 32), ("sha384", 48)) for r in ("keep-server", "keep-client")])

    good = [fields(r, s) for r in ("keep-server", "keep-client") for s in ("empty", "claimed", "running")]
    bad = []
    for why, change in (
        ("state does not exist", {"state": "stopped"}),
        ("empty with a bundle digest", {"bundle_digest": fill("bundle", 32)}),
        ("empty with an owner", {"owner_key_hash": fill("owner", 32)}),
        ("claimed without an owner", {"state": "claimed"}),
        ("running without a bundle", {"state": "running", "owner_key_hash": fill("owner", 32)}),
        ("running without an owner", {"state": "running", "bundle_digest": fill("bundle", 32)}),
        ("running with a digest of zeroes", {"state": "running", "bundle_digest": bytes(32), "owner_key_hash": fill("owner", 32)}),
        ("role does not exist", {"role": "keep"}),
        ("binding of zeroes", {"binding": bytes(32)}),
        ("channel key is empty", {"channel_key": b""}),
        ("identity key is too long", {"identity_key": bytes(4097)}),
        ("one key for both uses", {"identity_key": fill("channel", 91)}),
        ("runtime version is empty", {"runtime_version": ""}),
        ("runtime version with a space", {"runtime_version": "0.1 0"}),
    ):
        bad.append({"why": why, "leaf": dict(fields("keep-server", "empty"), **change)})
    write("leaf.json", {
        "good": [{"leaf": f, "cbor": leaf_bytes(f), "hash": sha512(b"\0" + leaf_bytes(f))} for f in good],
        "bad": bad})

    trees = []
    for n in (1, 2, 3, 4, 5, 7, 8, 9, 200, 1000, 1023, 1024):
        leaves = [sha512(b"leaf %d" % i) for i in range(n)]
        r = root(leaves)
        trees.append({"count": n, "root": r, "report_data": report_data(n, r),
                      "qualifying_data": hashlib.sha256(report_data(n, r)).digest(),
                      "paths": [{"index": i, "path": path(leaves, i)} for i in sorted({0, n // 2, n - 1})]})
    write("tree.json", {"leaf": "SHA-512 of the ASCII text 'leaf N' with N in decimal from 0", "trees": trees})

    write("reportdata.json", [
        {"bundle_digest": bundle, "owner_key_hash": owner, "data": d,
         "report_data": sha512(domain("enarx-attest-workload-data-v1") + bundle + owner + d)}
        for bundle, owner, d in (
            (fill("bundle", 32), fill("owner", 32), fill("data", 64)),
            (fill("bundle", 32), fill("owner", 32), b"\0" * 64),
            (fill("bundle", 32), fill("other owner", 32), fill("data", 64)),
            (fill("owner", 32), fill("bundle", 32), fill("data", 64)),
            (b"\0" * 32, b"\0" * 32, b"\0" * 64))])

    evidence = ["application/vnd.enarx.sev-snp-report", fill("report", 1184), 4]
    hints = [["application/pkix-cert", fill("hint", 300), 2]]
    messages = []
    for state in ("empty", "claimed", "running"):
        f = fields("keep-server", state)
        leaves = [sha512(b"leaf 0"), sha512(b"\0" + leaf_bytes(f)), sha512(b"leaf 2")]
        msg = cbor([1, evidence, f["identity_key"], f["state"], f["start_config_digest"], f["runtime_version"],
                    1, 3, path(leaves, 1), hints])
        messages.append({"leaf": f, "index": 1, "count": 3, "message": msg, "report_data": report_data(3, root(leaves))})
    write("message.json", messages)


main()
