"""The payer's own SQLite database of up to 16 MiB.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import Unpack

from payerbase import _operations, inputs, models
from payerbase._async.group import AsyncGroup
from payerbase._json import SqlParams
from payerbase._operation import ReadOptions, WriteOptions


class AsyncSql(AsyncGroup):
    """The payer's own SQLite database of up to 16 MiB."""

    async def query(self, sql: str, params: SqlParams | None = None, **options: Unpack[ReadOptions]) -> models.SqlRows:
        """Run a query.

        Runs one statement that only reads, in the payer's own SQLite database: `SELECT`, `WITH`, `VALUES`, `EXPLAIN
        QUERY PLAN`, or a `PRAGMA` that describes a table or an index. A database that was never written is empty. Reads
        wait for no write, and see the database as it is at a moment during the call. The payer's counters, links,
        locks, jobs, queues and memories are tables, too: `pb_counters`, `pb_jobs`, .. A call has 2 seconds of processor
        time and 64 MiB of memory.

        Needs the scope `sql:read`.

        Args:
            sql: One statement in the dialect of SQLite, 1 to 100,000 bytes of UTF-8. Comments are allowed.
            params: Values of its parameters: a sequence for `?` and `?1`, or a mapping for `:name`, `@name` and
                `$name`, whose keys may omit that character. Up to 1,000 values: `int` (64 bits), `float`, `str`,
                `bytes` and `None`; `True` is 1, `False` is 0.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `sql-error`: SQLite refuses the statement.
                `sql-not-allowed`: The statement does something that is not allowed.
                `sql-timeout`: The statements need more time than a call has.
                `sql-too-large`: The statements need more memory than a call has.
                `database-busy`: Other writes to the payer's SQL database came first.
        """
        return await self._send(_operations.QUERY_SQL, {"sql": sql, "params": params}, options)

    async def execute(
        self, sql: str, params: SqlParams | None = None, **options: Unpack[WriteOptions]
    ) -> models.SqlResult:
        """Run a statement that may write.

        Runs one statement in the payer's own SQLite database: also `CREATE`, `ALTER`, `DROP`, `INSERT`, `UPDATE` and
        `DELETE`, with `RETURNING`. It is one transaction: after an error nothing is stored, also with `OR FAIL`.
        Foreign keys are enforced. The database has up to 16 MiB.

        Needs the scope `sql:write`.

        Args:
            sql: One statement in the dialect of SQLite, 1 to 100,000 bytes of UTF-8. Comments are allowed.
            params: Values of its parameters: a sequence for `?` and `?1`, or a mapping for `:name`, `@name` and
                `$name`, whose keys may omit that character. Up to 1,000 values: `int` (64 bits), `float`, `str`,
                `bytes` and `None`; `True` is 1, `False` is 0.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `database-full`: The payer's SQL database has no room for this.
                `sql-error`: SQLite refuses the statement.
                `sql-not-allowed`: The statement does something that is not allowed.
                `sql-timeout`: The statements need more time than a call has.
                `sql-too-large`: The statements need more memory than a call has.
                `database-busy`: Other writes to the payer's SQL database came first.
        """
        return await self._send(_operations.EXECUTE_SQL, {"sql": sql, "params": params}, options)

    async def batch(
        self, statements: Sequence[inputs.SqlStatement], **options: Unpack[WriteOptions]
    ) -> models.SqlResults:
        """Run several statements in one transaction.

        Runs 1 to 50 statements in order, all or none. In `transact` they commit together with the other calls, whose
        results they cannot use: SQL runs before the transaction. Other calls can refer to the results of SQL.

        Needs the scope `sql:write`.

        Args:
            statements: 1 to 50 statements, run in order.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `database-full`: The payer's SQL database has no room for this.
                `sql-error`: SQLite refuses the statement.
                `sql-not-allowed`: The statement does something that is not allowed.
                `sql-timeout`: The statements need more time than a call has.
                `sql-too-large`: The statements need more memory than a call has.
                `database-busy`: Other writes to the payer's SQL database came first.
        """
        return await self._send(_operations.BATCH_SQL, {"statements": statements}, options)

    async def migrate(
        self, migrations: Sequence[inputs.SqlMigration], **options: Unpack[WriteOptions]
    ) -> models.SqlMigrated:
        """Run migrations.

        Runs the migrations that have not run before, in order, all or none, and remembers them in the table
        `pb_migrations` of the database. So a program can send all of its migrations at each start. A migration that ran
        before with another text is `migration-changed`.

        Needs the scope `sql:write`.

        Args:
            migrations: 1 to 200 migrations.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `database-full`: The payer's SQL database has no room for this.
                `migration-changed`: A migration ran before with another text.
                `sql-error`: SQLite refuses the statement.
                `sql-not-allowed`: The statement does something that is not allowed.
                `sql-timeout`: The statements need more time than a call has.
                `sql-too-large`: The statements need more memory than a call has.
                `database-busy`: Other writes to the payer's SQL database came first.
        """
        return await self._send(_operations.MIGRATE_SQL, {"migrations": migrations}, options)

    async def schema(self, **options: Unpack[ReadOptions]) -> models.SqlSchema:
        """Describe the database.

        The tables and views of the payer's own SQLite database with their columns, indexes and numbers of rows, and its
        size.

        Needs the scope `sql:read`.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `sql-timeout`: The statements need more time than a call has.
                `sql-too-large`: The statements need more memory than a call has.
                `database-busy`: Other writes to the payer's SQL database came first.
        """
        return await self._send(_operations.GET_SQL_SCHEMA, {}, options)

    async def export_database(self, **options: Unpack[ReadOptions]) -> bytes:
        """Export the database.

        The payer's own SQLite database as a file that SQLite and its tools open. A database that was never written is a
        file without tables.

        Needs the scope `sql:read`.
        """
        return await self._send(_operations.EXPORT_SQL, {}, options)

    async def import_database(self, file: bytes, **options: Unpack[WriteOptions]) -> models.SqlImported:
        """Import a database.

        Replaces the payer's own SQLite database by the one in a file of up to 16 MiB, with any size of pages and any
        encoding. Its tables, indexes and views are made again, and its rows are copied, in 10 seconds of processor
        time. Rows that are only in a `-wal` file beside it are not imported. A file with triggers or virtual tables,
        one that is damaged, or one whose foreign keys refer to nothing, is refused.

        Needs the scope `sql:write`.

        Args:
            file: The file of SQLite, at most 16 MiB.

        Raises:
            PayerbaseProblem: Besides the problems of all calls:
                `database-full`: The payer's SQL database has no room for this.
                `sql-error`: SQLite refuses the statement.
                `sql-not-allowed`: The statement does something that is not allowed.
                `sql-timeout`: The statements need more time than a call has.
                `sql-too-large`: The statements need more memory than a call has.
                `database-busy`: Other writes to the payer's SQL database came first.
        """
        return await self._send(_operations.IMPORT_SQL, {"file": file}, options)
