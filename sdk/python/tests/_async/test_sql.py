from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from payerbase import AsyncPayerbase, PayerbaseProblem
from payerbase.inputs import SqlMigration
from tests.support import Server, fresh

pytestmark = pytest.mark.anyio

VALUES = [
    None,
    0,
    2**53 - 1,
    2**53,
    2**63 - 1,
    -(2**63),
    0.5,
    float("inf"),
    float("-inf"),
    "",
    "a\0b",
    b"",
    b"\x00\xff",
    "é",
]


async def test_values_come_back_as_they_went(pb: AsyncPayerbase) -> None:
    rows = await pb.sql.query(f"select {', '.join('?' for _ in VALUES)}", VALUES)
    assert rows.rows == [VALUES]
    assert [type(value) for value in rows.rows[0]] == [type(value) for value in VALUES]


async def test_texts_that_are_not_utf_8_come_back_as_they_went(pb: AsyncPayerbase) -> None:
    [[text]] = (await pb.sql.query("select cast(x'61ff' as text)")).rows
    assert isinstance(text, str)
    assert text.encode("utf-8", "surrogateescape") == b"a\xff"
    assert (await pb.sql.query("select cast(:text as blob), :on", {"text": text, "on": True})).rows == [[b"a\xff", 1]]


async def test_migrates_writes_and_describes(server: Server) -> None:
    async with AsyncPayerbase(server.url, server.new_token()) as pb:
        steps: list[SqlMigration] = [{"id": "1", "sql": "create table t (id integer primary key, name text unique)"}]
        assert (await pb.sql.migrate(steps)).applied == ["1"]
        assert (await pb.sql.migrate(steps)).applied == []
        inserted = await pb.sql.execute("insert into t values (?, 'a') returning id", [2**60])
        assert (inserted.rows, inserted.rows_affected, inserted.last_insert_rowid) == ([[2**60]], 1, 2**60)
        batch = await pb.sql.batch([{"sql": "insert into t values (1, ?)", "params": ["b"]}, {"sql": "delete from t"}])
        assert [result.rows_affected for result in batch.results] == [1, 2]
        [*_, table] = (await pb.sql.schema()).tables
        assert table.columns[0].primary_key == 1
        file = await pb.sql.export_database()
        assert file.startswith(b"SQLite format 3\0")
        imported = await pb.sql.import_database(sqlite_file())
        assert (imported.tables, imported.rows) == (1, 1)
        assert (await pb.sql.query("select x from made")).rows == [[7]]


def sqlite_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "made.sqlite")
        with closing(sqlite3.connect(path)) as database:
            database.executescript("create table made (x); insert into made values (7);")
        return path.read_bytes()


async def test_errors_name_their_constraint(pb: AsyncPayerbase) -> None:
    table = fresh("t").replace("-", "_")
    await pb.sql.execute(f"create table {table} (x unique)")
    with pytest.raises(PayerbaseProblem) as caught:
        await pb.sql.batch([{"sql": f"insert into {table} values (1)"}] * 2)
    assert (caught.value.code, caught.value.problem.constraint) == ("sql-error", "unique")


@pytest.mark.parametrize("value", [float("nan"), [1], {"a": 1}, object()])
async def test_values_that_sql_does_not_have_are_refused(pb: AsyncPayerbase, value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        await pb.sql.query("select ?", [value])  # type: ignore[list-item]
