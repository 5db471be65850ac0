// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

#include <stdio.h>

int main(void)
{
	puts("Hello, world!");
	return 0;
}
