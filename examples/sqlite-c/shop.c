// Copyright The Enarx in Go Authors
// SPDX-License-Identifier: Apache-2.0

// shop keeps a small database in memory with SQLite: it fills it, runs each
// SQL statement that comes on standard input and prints the rows. Inside a
// Keep of a confidential platform the whole database is memory that the host
// cannot read.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite3.h"

static int row(void *unused, int n, char **values, char **names)
{
	(void)unused;
	for (int i = 0; i < n; i++)
		printf("%s%s=%s", i ? " | " : "", names[i], values[i] ? values[i] : "NULL");
	printf("\n");
	return 0;
}

static int fill(sqlite3 *db)
{
	static const char *setup =
	    "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT UNIQUE, cents INTEGER NOT NULL CHECK (cents > 0));"
	    "CREATE TABLE sale (item INTEGER REFERENCES item, n INTEGER NOT NULL);"
	    "BEGIN;"
	    "INSERT INTO item (name, cents) VALUES ('bolt', 12), ('nut', 5), ('washer', 3), ('hammer', 1890);"
	    "WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 2000)"
	    "  INSERT INTO sale SELECT 1 + (i * 7919) % 4, 1 + (i * 104729) % 9 FROM k;"
	    "COMMIT;"
	    "CREATE INDEX sale_item ON sale (item);";
	return sqlite3_exec(db, setup, NULL, NULL, NULL);
}

int main(void)
{
	sqlite3 *db;
	char statement[4096];
	int failed = 0;

	if (sqlite3_open(":memory:", &db) != SQLITE_OK || fill(db) != SQLITE_OK) {
		fprintf(stderr, "shop: %s\n", sqlite3_errmsg(db));
		return 2;
	}
	printf("SQLite %s\n", sqlite3_libversion());
	while (fgets(statement, sizeof statement, stdin)) {
		char *error = NULL;
		if (sqlite3_exec(db, statement, row, NULL, &error) != SQLITE_OK) {
			printf("error: %s\n", error);
			sqlite3_free(error);
			failed = 1;
		}
	}
	sqlite3_close(db);
	return failed;
}
