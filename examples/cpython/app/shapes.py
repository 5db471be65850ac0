# Copyright The Enarx in Go Authors
# SPDX-License-Identifier: Apache-2.0
"""A module of the program's own, imported from the bundle."""

import math


def area(shape):
    match shape:
        case {"kind": "circle", "radius": radius}:
            return math.pi * radius**2
        case {"kind": "rectangle", "width": width, "height": height}:
            return width * height
    raise ValueError(f"unknown shape: {shape}")
