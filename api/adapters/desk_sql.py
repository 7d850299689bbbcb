"""The desk's tables: orders, people and audit by SQLAlchemy Core on SQLite and PostgreSQL."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from api.desk.numbering import number_of, parse_number
from api.ports import Conflict, DeskEvent, DeskRow
from collector.ports import Unavailable

metadata = MetaData()
_ID = BigInteger().with_variant(Integer, "sqlite")

events_table = Table(
    "desk_event",
    metadata,
    Column("seq", _ID, primary_key=True, autoincrement=True),
    Column("stream", String(32), nullable=False),
    Column("site", String(64), nullable=False),
    Column("subject", String(400), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Column("key", String(600), nullable=False),
    Column("data", Text, nullable=False),
    Column("schema", Integer, nullable=False),
    Index("desk_event_key", "stream", "site", "key", unique=True),
    Index("desk_event_subject", "stream", "site", "subject"),
)
rows_table = Table(
    "desk_row",
    metadata,
    Column("nr", _ID, primary_key=True, autoincrement=True),
    Column("stream", String(32), nullable=False),
    Column("site", String(64), nullable=False),
    Column("id", String(400), nullable=False),
    Column("open", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("unique_for_ever", String(600), nullable=False),
    Column("unique_open", Text, nullable=False),
    Column("data", Text, nullable=False),
    Index("desk_row_id", "stream", "site", "id", unique=True),
    Index(
        "desk_row_for_ever",
        "stream",
        "site",
        "unique_for_ever",
        unique=True,
        sqlite_where=text("unique_for_ever != ''"),
        postgresql_where=text("unique_for_ever != ''"),
    ),
    Index("desk_row_open", "stream", "open"),
)
held_table = Table(
    "desk_held",
    metadata,
    Column("stream", String(32), primary_key=True),
    Column("site", String(64), primary_key=True),
    Column("id", String(400), primary_key=True),
    Column("key", String(600), primary_key=True),
    Column("open", Boolean, nullable=False),
    Index(
        "desk_held_open",
        "stream",
        "site",
        "key",
        unique=True,
        sqlite_where=text("open"),
        postgresql_where=text("open"),
    ),
)
cursors_table = Table(
    "desk_cursor",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("position", BigInteger, nullable=False),
)
numbers_table = Table(
    "desk_number",
    metadata,
    Column("site", String(64), primary_key=True),
    Column("month", String(6), primary_key=True),
    Column("last", Integer, nullable=False),
)
ROW = select(rows_table).where(
    *(rows_table.c[name] == bindparam(name) for name in ("stream", "site", "id"))
)
"""Made once: every request that is let in asks it, and making it took longer than its answer."""
THOSE = select(rows_table).where(
    *(rows_table.c[name] == bindparam(name) for name in ("stream", "site")),
    rows_table.c.id.in_(bindparam("ids", expanding=True)),
)
IDS_MAX = 500
"""Of one statement: an SQLite may refuse a thousand values."""


class SqlDesk:
    """The desk on one database; blocking, safe to call from several threads.

    `engine` is the ledger's; its tables are made by `steward migrate`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writing=True)

    def append(
        self,
        events: Sequence[DeskEvent],
        rows: Sequence[DeskRow],
        cursors: Mapping[str, int] | None = None,
    ) -> list[DeskEvent]:
        with self._speaking(), self._writer.begin() as connection:
            for name, position in sorted((cursors or {}).items()):
                _keep_cursor(connection, name, position)
            kept = _keep_events(connection, events)
            if kept or not events:
                for row in rows:
                    _keep_row(connection, row)
            return kept

    def number(self, site: str, month: str) -> str:
        found = self._one(
            select(numbers_table.c.last).where(
                numbers_table.c.site == site, numbers_table.c.month == month
            )
        )
        return number_of(month, (int(found["last"]) if found else 0) + 1)

    def row(self, stream: str, site: str, id: str) -> DeskRow | None:
        found = self._one(ROW, {"stream": stream, "site": site, "id": id})
        return _row(found) if found else None

    def those(self, stream: str, site: str, ids: Collection[str]) -> dict[str, DeskRow]:
        wanted, found = list(ids), list[RowMapping]()
        if len(wanted) == 1:  # a list of one in a statement takes a quarter longer
            one = self.row(stream, site, wanted[0])
            return {one.id: one} if one else {}
        for i in range(0, len(wanted), IDS_MAX):
            some = wanted[i : i + IDS_MAX]
            found += self._all(THOSE, {"stream": stream, "site": site, "ids": some})
        return {row["id"]: _row(row) for row in found}

    def rows(
        self, stream: str, site: str | None = None, *, open_only: bool = False, limit: int = 100_000
    ) -> list[DeskRow]:
        query = select(rows_table).where(rows_table.c.stream == stream)
        if site is not None:
            query = query.where(rows_table.c.site == site)
        if open_only:
            query = query.where(rows_table.c.open)
        return [_row(r) for r in self._all(query.order_by(rows_table.c.nr.desc()).limit(limit))]

    def history(self, stream: str, site: str, subject: str) -> list[DeskEvent]:
        table = events_table.c
        query = (
            select(events_table)
            .where(table.stream == stream, table.site == site, table.subject == subject)
            .order_by(table.seq)
        )
        return [_event(r) for r in self._all(query)]

    def cursor(self, name: str) -> int:
        found = self._one(select(cursors_table.c.position).where(cursors_table.c.name == name))
        return int(found["position"]) if found else 0

    def _all(self, query: Any, values: Mapping[str, Any] | None = None) -> list[RowMapping]:
        with self._speaking(), self._engine.connect() as connection:
            return list(connection.execute(query, values).mappings())

    def _one(self, query: Any, values: Mapping[str, str] | None = None) -> RowMapping | None:
        found = self._all(query, values)
        return found[0] if found else None

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise Conflict(str(error.orig)) from error
        except OperationalError as error:
            raise Unavailable(str(error.orig)) from error
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise Unavailable(str(error.orig)) from error


def _is(stream: str, site: str, id: str) -> Any:
    table = rows_table.c
    return and_(table.stream == stream, table.site == site, table.id == id)


def _keep_cursor(connection: Connection, name: str, position: int) -> None:
    table = cursors_table
    done = connection.execute(update(table).where(table.c.name == name).values(position=position))
    if not done.rowcount:
        connection.execute(insert(table).values(name=name, position=position))


def _keep_events(connection: Connection, events: Sequence[DeskEvent]) -> list[DeskEvent]:
    table = events_table.c
    kept = []
    for item in events:
        known = select(table.seq).where(
            table.stream == item.stream, table.site == item.site, table.key == item.key
        )
        if connection.execute(known).first() is None:
            values = {
                "stream": item.stream, "site": item.site, "subject": item.subject,
                "kind": item.kind, "at": item.at, "by": item.by, "key": item.key,
                "data": _text(item.data), "schema": item.schema,
            }  # fmt: skip
            done = connection.execute(insert(events_table).values(**values).returning(table.seq))
            kept.append(replace(item, seq=done.scalar_one()))
    return kept


def _keep_row(connection: Connection, row: DeskRow) -> None:
    values = {
        "open": row.open, "version": row.version, "data": _text(row.data),
        "unique_for_ever": row.unique_for_ever, "unique_open": json.dumps(list(row.unique)),
    }  # fmt: skip
    if row.version == 1:
        key = {"stream": row.stream, "site": row.site, "id": row.id}
        connection.execute(insert(rows_table).values(**key, **values))
        _take_number(connection, row)
    else:
        old = and_(_is(row.stream, row.site, row.id), rows_table.c.version == row.version - 1)
        if connection.execute(update(rows_table).where(old).values(**values)).rowcount != 1:
            raise Conflict(f"{row.stream} {row.id} is not at version {row.version - 1}")
    _hold(connection, row)


def _take_number(connection: Connection, row: DeskRow) -> None:
    parsed = parse_number(row.id) if row.stream == "order" else None
    if parsed is None:
        return
    month, n = parsed
    table = numbers_table
    here = and_(table.c.site == row.site, table.c.month == month, table.c.last == n - 1)
    done = connection.execute(update(table).where(here).values(last=n))
    if not done.rowcount:
        if n != 1:
            raise Conflict(f"{row.id} is not the next number")
        connection.execute(insert(table).values(site=row.site, month=month, last=n))


def _hold(connection: Connection, row: DeskRow) -> None:
    table = held_table
    mine = and_(table.c.stream == row.stream, table.c.site == row.site, table.c.id == row.id)
    connection.execute(delete(table).where(mine))
    for key in row.unique:
        connection.execute(
            insert(table).values(
                stream=row.stream, site=row.site, id=row.id, key=key, open=row.open
            )
        )


def _text(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, sort_keys=True)


def _event(row: RowMapping) -> DeskEvent:
    return DeskEvent(**{**row, "data": json.loads(row["data"])})


def _row(row: RowMapping) -> DeskRow:
    return DeskRow(
        stream=row["stream"],
        site=row["site"],
        id=row["id"],
        open=bool(row["open"]),
        data=json.loads(row["data"]),
        version=row["version"],
        unique=tuple(json.loads(row["unique_open"])),
        unique_for_ever=row["unique_for_ever"],
    )
