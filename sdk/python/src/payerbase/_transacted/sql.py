"""The payer's own SQLite database of up to 16 MiB. In a transaction.

Generated from the OpenAPI document by `scripts/generate.py`: do not edit.
"""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import Unpack

from payerbase import _operations, inputs
from payerbase._json import SqlParams
from payerbase._operation import TransactedOptions
from payerbase._references import TransactedGroup
from payerbase._transacted import handles


class Sql(TransactedGroup):
    """The payer's own SQLite database of up to 16 MiB. In a transaction."""

    def query(
        self, sql: str, params: SqlParams | None = None, **options: Unpack[TransactedOptions]
    ) -> handles.SqlRowsHandle:
        """Run a query. `sql.query` of the client describes it."""
        return self._add(handles.SqlRowsHandle, _operations.QUERY_SQL, {"sql": sql, "params": params}, options)

    def execute(
        self, sql: str, params: SqlParams | None = None, **options: Unpack[TransactedOptions]
    ) -> handles.SqlResultHandle:
        """Run a statement that may write. `sql.execute` of the client describes it."""
        return self._add(handles.SqlResultHandle, _operations.EXECUTE_SQL, {"sql": sql, "params": params}, options)

    def batch(
        self, statements: Sequence[inputs.SqlStatement], **options: Unpack[TransactedOptions]
    ) -> handles.SqlResultsHandle:
        """Run several statements in one transaction. `sql.batch` of the client describes it."""
        return self._add(handles.SqlResultsHandle, _operations.BATCH_SQL, {"statements": statements}, options)

    def migrate(
        self, migrations: Sequence[inputs.SqlMigration], **options: Unpack[TransactedOptions]
    ) -> handles.SqlMigratedHandle:
        """Run migrations. `sql.migrate` of the client describes it."""
        return self._add(handles.SqlMigratedHandle, _operations.MIGRATE_SQL, {"migrations": migrations}, options)

    def schema(self, **options: Unpack[TransactedOptions]) -> handles.SqlSchemaHandle:
        """Describe the database. `sql.schema` of the client describes it."""
        return self._add(handles.SqlSchemaHandle, _operations.GET_SQL_SCHEMA, {}, options)
