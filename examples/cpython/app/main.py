# Copyright The Enarx in Go Authors
# SPDX-License-Identifier: Apache-2.0
"""Reads a file of the bundle and prints a summary with the standard library."""

import collections
import hashlib
import json
import pathlib
import statistics
import sys

from shapes import area

here = pathlib.Path(__file__).parent


def main():
    shapes = json.loads((here / "shapes.json").read_text())
    by_kind = collections.defaultdict(list)
    for shape in shapes:
        by_kind[shape["kind"]].append(area(shape))
    for kind, areas in sorted(by_kind.items()):
        print(f"{kind:<10} {len(areas)} mean area {statistics.fmean(areas):.4f}")
    print("sha256", hashlib.sha256((here / "shapes.json").read_bytes()).hexdigest())
    print("arguments", sys.argv[1:])
    return 7 if "fail" in sys.argv[1:] else 0


sys.exit(main())
