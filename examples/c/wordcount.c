// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// wordcount reads text on standard input and prints its most frequent words.
// It is plain C99: the same file built by the native compiler prints the same.

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORDS = 4096, MAX_LENGTH = 63 };

struct word {
	char text[MAX_LENGTH + 1];
	int count;
};

static struct word words[MAX_WORDS];
static int used;

static void count(const char *text)
{
	for (int i = 0; i < used; i++) {
		if (strcmp(words[i].text, text) == 0) {
			words[i].count++;
			return;
		}
	}
	if (used < MAX_WORDS) {
		strcpy(words[used].text, text);
		words[used++].count = 1;
	}
}

static int by_count(const void *a, const void *b)
{
	const struct word *x = a, *y = b;
	if (x->count != y->count)
		return y->count - x->count;
	return strcmp(x->text, y->text);
}

int main(int argc, char **argv)
{
	int top = argc > 1 ? atoi(argv[1]) : 5;
	char text[MAX_LENGTH + 1];
	int length = 0, total = 0, c;

	do {
		c = getchar();
		if (c != EOF && isalpha(c)) {
			if (length < MAX_LENGTH)
				text[length++] = (char)tolower(c);
		} else if (length > 0) {
			text[length] = 0;
			count(text);
			total++;
			length = 0;
		}
	} while (c != EOF);

	if (total == 0) {
		fprintf(stderr, "wordcount: no words on standard input\n");
		return 3;
	}
	qsort(words, (size_t)used, sizeof words[0], by_count);
	for (int i = 0; i < used && i < top; i++)
		printf("%6d %5.1f%%  %s\n", words[i].count, 100.0 * words[i].count / total, words[i].text);
	printf("%6d words, %d of them different\n", total, used);
	return 0;
}
