import type { CallOptions, WriteOptions } from './options.js';
import type { Call } from './request.js';
import {
  encodeStatement,
  type SqlParameters,
  type SqlResult,
  type SqlRow,
  type SqlRows,
  type SqlStatement,
} from './sql-values.js';
import type { SqlImported, SqlMigrated, SqlMigration, SqlSchema } from './types.js';

/** A private SQLite database of up to 16 MiB. An error of a statement is `sql-error`, and changes nothing. */
export class Sql {
  readonly #call: Call;

  /** @internal */
  constructor(call: Call) {
    this.#call = call;
  }

  /**
   * Runs one statement that only reads. The counters, links, locks, jobs, queues and memories are tables, too:
   * `pb_counters`, `pb_jobs`, .. A call has 2 seconds of processor time.
   */
  query<Row = SqlRow>(sql: string, params?: SqlParameters, options?: CallOptions): Promise<SqlRows<Row>> {
    return this.#call('querySql', { ...options, ...encodeStatement({ sql, params }) });
  }

  /** Runs one statement that may write. */
  execute<Row = SqlRow>(sql: string, params?: SqlParameters, options?: WriteOptions): Promise<SqlResult<Row>> {
    return this.#call('executeSql', { ...options, ...encodeStatement({ sql, params }) });
  }

  /** Runs 1 to 50 statements in one transaction, all or none. */
  batch(statements: readonly SqlStatement[], options?: WriteOptions): Promise<{ results: SqlResult[] }> {
    return this.#call('batchSql', { ...options, statements: statements.map(encodeStatement) });
  }

  /**
   * Runs the migrations that have not run yet, in order and in one transaction: 1 to 200. Send all of them at each
   * start. One that ran before with another text is `migration-changed`.
   */
  migrate(migrations: readonly SqlMigration[], options?: WriteOptions): Promise<SqlMigrated> {
    return this.#call('migrateSql', { ...options, migrations });
  }

  /** Describes the tables and views, and says how large the database is. */
  schema(options?: CallOptions): Promise<SqlSchema> {
    return this.#call('getSqlSchema', { ...options });
  }

  /** Returns the database as a file, which SQLite opens. */
  export(options?: CallOptions): Promise<Uint8Array> {
    return this.#call('exportSql', { ...options });
  }

  /** Replaces the database by a file of SQLite of up to 16 MiB. */
  import(file: Uint8Array | ArrayBuffer | Blob, options?: WriteOptions): Promise<SqlImported> {
    return this.#call('importSql', { ...options, file });
  }
}
