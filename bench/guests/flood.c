// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// flood writes as many MiB as it is told to standard output, 64 KiB at a time.

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char block[65536];

int main(int argc, char **argv)
{
	long blocks = argc > 1 ? atol(argv[1]) * 16 : 16;
	memset(block, 'x', sizeof block);
	for (long i = 0; i < blocks; i++)
		for (size_t done = 0; done < sizeof block;) {
			ssize_t n = write(1, block + done, sizeof block - done);
			if (n <= 0)
				return 1;
			done += (size_t)n;
		}
	return 0;
}
