/*
 * What SQLite needs around it in WebAssembly: a file system of one file, whose pages the host holds; an authorizer, whose
 * rules are the host's; and tables whose rows the host has. Everything else is SQLite's own C API, which the host calls.
 *
 * The host trusts nothing that this code returns.
 */
#include "sqlite3.h"
#include <string.h>

#define HOST(name) __attribute__((import_module("host"), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

#define PAGE_BYTES 4096
/* 1970-01-01 as a Julian day, in milliseconds. */
#define EPOCH_JULIAN_MS 210866760000000LL

/* The functions of the host that return an int return 0 for success. */
HOST("read_page") int host_read_page(int page, int from, int bytes, void *into);
HOST("write_page") int host_write_page(int page, const void *data);
HOST("truncate") void host_truncate(int pages);
HOST("now") long long host_now(void);
HOST("random") void host_random(void *into, int bytes);
HOST("authorize") int host_authorize(int action, const char *, const char *, const char *, const char *);

/* A value of a table of the host. For text, `bytes` is its length; it is then copied by `host_table_text`. */
struct value {
  int type;
  int bytes;
  sqlite3_int64 integer;
  double real;
};
HOST("table_schema") int host_table_schema(int table, char *into, int bytes);
HOST("table_rows") int host_table_rows(int table, int *rows);
HOST("table_value") int host_table_value(int table, int row, int column, struct value *into);
HOST("table_text") int host_table_text(int table, int row, int column, char *into, int bytes);

/* The file. */

/* Its size in bytes. A database of payerbase consists of pages of the host's size; a file to import has any. */
static sqlite3_int64 size;

static int file_close(sqlite3_file *file) { return SQLITE_OK; }

static int file_read(sqlite3_file *file, void *into, int bytes, sqlite3_int64 offset) {
  int done = 0;
  while (done < bytes && offset + done < size) {
    int page = (offset + done) / PAGE_BYTES + 1, from = (offset + done) % PAGE_BYTES, part = bytes - done;
    if (part > PAGE_BYTES - from) part = PAGE_BYTES - from;
    if (part > size - offset - done) part = size - offset - done;
    if (host_read_page(page, from, part, (char *)into + done)) return SQLITE_IOERR_READ;
    done += part;
  }
  if (done == bytes) return SQLITE_OK;
  memset((char *)into + done, 0, bytes - done);
  return SQLITE_IOERR_SHORT_READ;
}

static int file_write(sqlite3_file *file, const void *data, int bytes, sqlite3_int64 offset) {
  int page = offset / PAGE_BYTES + 1;
  if (bytes != PAGE_BYTES || offset % PAGE_BYTES) return SQLITE_IOERR_WRITE;
  if (host_write_page(page, data)) return SQLITE_IOERR_WRITE;
  if (offset + bytes > size) size = offset + bytes;
  return SQLITE_OK;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 bytes) {
  size = bytes;
  host_truncate(bytes / PAGE_BYTES);
  return SQLITE_OK;
}

static int file_sync(sqlite3_file *file, int flags) { return SQLITE_OK; }

static int file_size(sqlite3_file *file, sqlite3_int64 *bytes) {
  *bytes = size;
  return SQLITE_OK;
}

static int file_lock(sqlite3_file *file, int lock) { return SQLITE_OK; }

static int file_is_reserved(sqlite3_file *file, int *is_reserved) {
  *is_reserved = 0;
  return SQLITE_OK;
}

static int file_control(sqlite3_file *file, int operation, void *argument) { return SQLITE_NOTFOUND; }

static int file_sector_size(sqlite3_file *file) { return PAGE_BYTES; }

static int file_characteristics(sqlite3_file *file) {
  return SQLITE_IOCAP_ATOMIC | SQLITE_IOCAP_SAFE_APPEND | SQLITE_IOCAP_SEQUENTIAL | SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods FILE_METHODS = {
    1,         file_close, file_read,        file_write,   file_truncate,    file_sync,           file_size,
    file_lock, file_lock,  file_is_reserved, file_control, file_sector_size, file_characteristics};

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *flags_out) {
  file->pMethods = 0;
  if (!(flags & SQLITE_OPEN_MAIN_DB)) return SQLITE_CANTOPEN;
  file->pMethods = &FILE_METHODS;
  if (flags_out) *flags_out = flags;
  return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync) { return SQLITE_OK; }

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *result) {
  *result = 0;
  return SQLITE_OK;
}

static int vfs_full_name(sqlite3_vfs *vfs, const char *name, int bytes, char *into) {
  sqlite3_snprintf(bytes, into, "%s", name);
  return SQLITE_OK;
}

static int vfs_random(sqlite3_vfs *vfs, int bytes, char *into) {
  host_random(into, bytes);
  return bytes;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us) { return us; }

static int vfs_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *ms) {
  *ms = host_now() + EPOCH_JULIAN_MS;
  return SQLITE_OK;
}

static int vfs_time(sqlite3_vfs *vfs, double *days) {
  *days = (host_now() + EPOCH_JULIAN_MS) / 86400000.0;
  return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int bytes, char *into) { return 0; }

static sqlite3_vfs VFS = {2,          sizeof(sqlite3_file), 64,         0, "host", 0, vfs_open,   vfs_delete, vfs_access,
                          vfs_full_name, 0, 0, 0, 0, vfs_random, vfs_sleep, vfs_time, vfs_last_error, vfs_time_ms};

int sqlite3_os_init(void) { return sqlite3_vfs_register(&VFS, 1); }

int sqlite3_os_end(void) { return SQLITE_OK; }

/* Tables of the host: read-only, and without a CREATE statement. */

struct cursor {
  sqlite3_vtab_cursor base;
  int row, rows;
};

struct table {
  sqlite3_vtab base;
  int number;
};

static int table_connect(sqlite3 *db, void *number, int argc, const char *const *argv, sqlite3_vtab **into, char **error) {
  char schema[4096];
  if (host_table_schema((int)(long)number, schema, sizeof schema)) return SQLITE_ERROR;
  int rc = sqlite3_declare_vtab(db, schema);
  if (!rc) rc = sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
  if (rc) return rc;
  struct table *table = sqlite3_malloc(sizeof *table);
  if (!table) return SQLITE_NOMEM;
  memset(table, 0, sizeof *table);
  table->number = (int)(long)number;
  *into = &table->base;
  return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *table) {
  sqlite3_free(table);
  return SQLITE_OK;
}

static int table_best_index(sqlite3_vtab *table, sqlite3_index_info *info) {
  info->estimatedCost = 10000;
  info->estimatedRows = 1000;
  return SQLITE_OK;
}

static int table_open(sqlite3_vtab *table, sqlite3_vtab_cursor **into) {
  struct cursor *cursor = sqlite3_malloc(sizeof *cursor);
  if (!cursor) return SQLITE_NOMEM;
  memset(cursor, 0, sizeof *cursor);
  *into = &cursor->base;
  return SQLITE_OK;
}

static int table_close(sqlite3_vtab_cursor *cursor) {
  sqlite3_free(cursor);
  return SQLITE_OK;
}

static int number_of(sqlite3_vtab_cursor *base) { return ((struct table *)base->pVtab)->number; }

static int table_filter(sqlite3_vtab_cursor *base, int index, const char *name, int argc, sqlite3_value **argv) {
  struct cursor *cursor = (struct cursor *)base;
  cursor->row = 0;
  return host_table_rows(number_of(base), &cursor->rows) ? SQLITE_ERROR : SQLITE_OK;
}

static int table_next(sqlite3_vtab_cursor *base) {
  ((struct cursor *)base)->row++;
  return SQLITE_OK;
}

static int table_is_at_end(sqlite3_vtab_cursor *base) {
  struct cursor *cursor = (struct cursor *)base;
  return cursor->row >= cursor->rows;
}

static int table_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column) {
  int table = number_of(base), row = ((struct cursor *)base)->row;
  struct value value;
  if (host_table_value(table, row, column, &value)) return SQLITE_ERROR;
  if (value.type == SQLITE_INTEGER) {
    sqlite3_result_int64(context, value.integer);
  } else if (value.type == SQLITE_FLOAT) {
    sqlite3_result_double(context, value.real);
  } else if (value.type == SQLITE_TEXT) {
    char *text = sqlite3_malloc(value.bytes + 1);
    if (!text) return SQLITE_NOMEM;
    if (host_table_text(table, row, column, text, value.bytes)) {
      sqlite3_free(text);
      return SQLITE_ERROR;
    }
    sqlite3_result_text(context, text, value.bytes, sqlite3_free);
  }
  return SQLITE_OK;
}

static int table_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid) {
  *rowid = ((struct cursor *)base)->row + 1;
  return SQLITE_OK;
}

static const sqlite3_module TABLE_METHODS = {
    .xConnect = table_connect,
    .xBestIndex = table_best_index,
    .xDisconnect = table_disconnect,
    .xDestroy = table_disconnect,
    .xOpen = table_open,
    .xClose = table_close,
    .xFilter = table_filter,
    .xNext = table_next,
    .xEof = table_is_at_end,
    .xColumn = table_column,
    .xRowid = table_rowid,
};

/* What the host calls besides SQLite's own functions. */

static int authorize(void *none, int action, const char *a, const char *b, const char *c, const char *d) {
  return host_authorize(action, a, b, c, d) ? SQLITE_DENY : SQLITE_OK;
}

/* Opens the database of this many bytes. Returns 0 without memory. */
EXPORT("open_database") sqlite3 *open_database(sqlite3_int64 bytes) {
  sqlite3 *db = 0;
  size = bytes;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (sqlite3_open_v2("db", &db, flags, "host")) return 0;
  return sqlite3_set_authorizer(db, authorize, 0) ? 0 : db;
}

EXPORT("set_option") int set_option(sqlite3 *db, int option, int value) {
  return sqlite3_db_config(db, option, value, (int *)0);
}

EXPORT("add_table") int add_table(sqlite3 *db, const char *name, int number) {
  return sqlite3_create_module(db, name, &TABLE_METHODS, (void *)(long)number);
}

EXPORT("page_count") int page_count(void) { return size / PAGE_BYTES; }

/* SQLite copies the value. */
EXPORT("bind_text") int bind_text(sqlite3_stmt *statement, int place, const char *text, int bytes) {
  return sqlite3_bind_text(statement, place, text, bytes, SQLITE_TRANSIENT);
}

EXPORT("bind_blob") int bind_blob(sqlite3_stmt *statement, int place, const void *data, int bytes) {
  return bytes ? sqlite3_bind_blob(statement, place, data, bytes, SQLITE_TRANSIENT) : sqlite3_bind_zeroblob(statement, place, 0);
}
