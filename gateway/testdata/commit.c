// An extension of SQLite whose COMMIT fails after it is done, once, when a file with the name of the database and "-failed-but-done" is there.
#include <stdio.h>
#include <unistd.h>
#include "sqlite3ext.h"
SQLITE_EXTENSION_INIT1

// What the hook of the write-ahead log returns, COMMIT returns, with everything written.
static int committed(void *nothing, sqlite3 *db, const char *name, int pages) {
	char path[1024];
	snprintf(path, sizeof path, "%s-failed-but-done", sqlite3_db_filename(db, name));
	return unlink(path) == 0 ? SQLITE_IOERR : SQLITE_OK;
}

int sqlite3_commit_init(sqlite3 *db, char **message, const sqlite3_api_routines *api) {
	SQLITE_EXTENSION_INIT2(api)
	sqlite3_wal_hook(db, committed, 0);
	return SQLITE_OK;
}
