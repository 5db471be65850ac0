// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// Reads and writes files through the C library, which finds the directories
// that are open from the start by counting up from descriptor 3.
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
	char line[64] = "";
	FILE *in = fopen("/data/in.txt", "r");
	if (in == NULL || fgets(line, sizeof line, in) == NULL) {
		perror("/data/in.txt");
		return 1;
	}
	fclose(in);
	FILE *out = fopen("/tmp/out.txt", "w+");
	if (out == NULL || fputs(line, out) < 0 || fseek(out, 0, SEEK_SET) != 0 || fgets(line, sizeof line, out) == NULL) {
		perror("/tmp/out.txt");
		return 2;
	}
	fclose(out);
	DIR *d = opendir("/data");
	int names = 0;
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		names++;
	if (fopen("/data/in.txt", "w") != NULL || fopen("/etc/passwd", "r") != NULL || fopen("/tmp/../etc/passwd", "r") != NULL)
		return 3;
	printf("%d names, tty %d, %s", names, isatty(1), line);
	return 0;
}
