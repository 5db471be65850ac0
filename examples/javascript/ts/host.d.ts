// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0
//
// What host.c gives scripts.
declare const args: string[];
declare function print(...values: unknown[]): void;
declare function stdin(): string;
