"""The ledger in SQL: decisions and asks on SQLAlchemy Core, for SQLite and PostgreSQL alike."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from collector.ports import Ask, LedgerEvent, LedgerRow, Outcome, TakenOver, Unavailable

metadata = sa.MetaData()

EVENTS = sa.Table(
    "decision_event",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("site", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("schema", sa.Integer, nullable=False),
    sa.UniqueConstraint("stream", "site", "key", name="decision_event_key"),
    sa.Index("decision_event_subject", "stream", "site", "subject"),
    sqlite_autoincrement=True,
)
ROWS = sa.Table(
    "decision_row",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("site", sa.Text, nullable=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("open", sa.Boolean, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.UniqueConstraint("stream", "site", "id", name="decision_row_id"),
    sa.Index("decision_row_open", "stream", "open", "number"),
)
CURSORS = sa.Table(
    "decision_cursor",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)
ASKS = sa.Table(
    "ask",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("site", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)
OUTCOMES = sa.Table(
    "ask_outcome",
    metadata,
    sa.Column("ask", sa.Text, primary_key=True),
    sa.Column("accepted", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)

_LOCK = 0x57E4A4D
"""Advisory lock of all appends: without it a reader could pass over a number given but not yet kept."""
NUMBERED: Final = ("seq", "number")
"""Columns that the database fills."""


def _insert(table: sa.Table, *key: str) -> sa.TextClause:
    """Insert, and where the `key` is known replace the rest of its row; without one what is known is passed over.

    A text, which both databases read: what SQLAlchemy makes of an insert `on conflict` it compiles anew each
    time, and that took longer than all else of keeping an alarm but the disk.
    """
    columns = [column for column in table.c if column.name not in NUMBERED]
    names = ", ".join(f'"{column.name}"' for column in columns)
    values = ", ".join(f":{column.name}" for column in columns)
    rest = (column.name for column in columns if column.name not in key)
    known = ", ".join(f'"{name}" = excluded."{name}"' for name in rest)
    conflict = f"({', '.join(key)}) do update set {known}" if key else "do nothing"
    text = f"insert into {table.name} ({names}) values ({values}) on conflict {conflict}"  # noqa: S608  # of our own names
    return sa.text(text).bindparams(*(sa.bindparam(c.name, type_=c.type) for c in columns))


INSERT_EVENT: Final = _insert(EVENTS)
INSERT_ASK: Final = _insert(ASKS)
INSERT_OUTCOME: Final = _insert(OUTCOMES)
PUT_ROW: Final = _insert(ROWS, "stream", "site", "id")
PUT_CURSOR: Final = _insert(CURSORS, "name")


def open_ledger(url: str, *, wait_s: float = 10.0) -> sa.Engine:
    """An engine for `url` (`sqlite:///file` or `postgresql+psycopg://…`), durable on commit.

    On SQLite it waits at most `wait_s` for another writer before it says `Unavailable`.

    The tables must be there: `commands.migrate.migrate(url)` makes them.
    """
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_pre_ping=True, json_serializer=_json)
    engine = sa.create_engine(url, connect_args={"timeout": wait_s}, json_serializer=_json)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _json(data: Any) -> str:
    """At a start each of many thousand rules has a row."""
    return msgspec.json.encode(data).decode()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = (
        None  # SQLAlchemy's `begin` says when; the driver's guess is not asked
    )
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: sa.Connection) -> None:
    """What is read is one statement each time, which is a transaction of its own."""
    if connection.get_execution_options().get("writing", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


class _Ledger:
    """What both halves share: how a transaction is opened and how its failures are named."""

    def __init__(self, engine: sa.Engine) -> None:
        self._reader = engine
        self._writer = engine.execution_options(writing=True)

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with _named(), self._writer.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            yield connection

    def _read(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with _named(), self._reader.connect() as connection:
            return connection.execute(query).all()

    def close(self) -> None:
        """Give the connections back; may be called twice."""
        self._reader.dispose()


@contextmanager
def _named() -> Iterator[None]:
    """A database that cannot be reached or is locked is `Unavailable`; a wrong query stays an error."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        raise Unavailable(f"ledger: {error}") from error


def _stand_so(connection: sa.Connection, wanted: Mapping[str, int]) -> None:
    for name, position in wanted.items():
        query = sa.select(CURSORS.c.position).where(CURSORS.c.name == name)
        if (connection.execute(query).scalar() or 0) != position:
            raise TakenOver(f"ledger: another collector has it now ({name} is not {position})")


class SqlDecisions(_Ledger):
    """`Decisions` in SQL; one transaction per append."""

    def append(
        self,
        events: Sequence[LedgerEvent],
        rows: Sequence[LedgerRow],
        cursors: Mapping[str, int] | None = None,
        *,
        only_if: Mapping[str, int] | None = None,
    ) -> None:
        with self._write() as connection:
            _stand_so(connection, only_if or {})
            if events:
                connection.execute(INSERT_EVENT, [_event_values(event) for event in events])
            if kept := {(row.stream, row.site, row.id): _row_values(row) for row in rows}:
                connection.execute(PUT_ROW, list(kept.values()))  # of equal keys the last
            if cursors:
                positions = [{"name": n, "position": p} for n, p in cursors.items()]
                connection.execute(PUT_CURSOR, positions)

    def since(self, seq: int, limit: int = 1000) -> list[LedgerEvent]:
        query = sa.select(EVENTS).where(EVENTS.c.seq > seq).order_by(EVENTS.c.seq).limit(limit)
        return [_event(row) for row in self._read(query)]

    def rows(
        self, stream: str, site: str | None = None, *, open_only: bool = False, limit: int = 100_000
    ) -> list[LedgerRow]:
        query = sa.select(ROWS).where(ROWS.c.stream == stream)
        if site is not None:
            query = query.where(ROWS.c.site == site)
        if open_only:
            query = query.where(ROWS.c.open)
        return [_row(row) for row in self._read(query.order_by(ROWS.c.number.desc()).limit(limit))]

    def row(self, stream: str, site: str, id: str) -> LedgerRow | None:
        wanted = (ROWS.c.stream == stream, ROWS.c.site == site, ROWS.c.id == id)
        found = self._read(sa.select(ROWS).where(*wanted))
        return _row(found[0]) if found else None

    def history(self, stream: str, site: str, subject: str) -> list[LedgerEvent]:
        wanted = (EVENTS.c.stream == stream, EVENTS.c.site == site, EVENTS.c.subject == subject)
        return [_event(r) for r in self._read(sa.select(EVENTS).where(*wanted).order_by("seq"))]

    def cursor(self, name: str) -> int:
        found = self._read(sa.select(CURSORS.c.position).where(CURSORS.c.name == name))
        return int(found[0].position) if found else 0


class SqlAsks(_Ledger):
    """`Asks` in SQL."""

    def ask(self, ask: Ask) -> int:
        values = {
            "id": ask.id, "site": ask.site, "kind": ask.kind, "subject": ask.subject,
            "by": ask.by, "at": ask.at, "data": dict(ask.data),
        }  # fmt: skip
        with self._write() as connection:
            connection.execute(INSERT_ASK, values)
            query = sa.select(ASKS.c.seq).where(ASKS.c.id == ask.id)
            return int(connection.execute(query).scalar_one())

    def since(self, seq: int, kinds: Sequence[str], limit: int = 1000) -> list[Ask]:
        query = sa.select(ASKS).where(ASKS.c.seq > seq, ASKS.c.kind.in_(kinds))
        return [_ask(row) for row in self._read(query.order_by(ASKS.c.seq).limit(limit))]

    def settle(self, outcome: Outcome) -> None:
        values = {
            "ask": outcome.ask, "accepted": outcome.accepted,
            "reason": outcome.reason, "at": outcome.at,
        }  # fmt: skip
        with self._write() as connection:
            connection.execute(INSERT_OUTCOME, values)

    def outcome(self, ask_id: str) -> Outcome | None:
        found = self._read(sa.select(OUTCOMES).where(OUTCOMES.c.ask == ask_id))
        return Outcome(**found[0]._asdict()) if found else None


def _event_values(event: LedgerEvent) -> dict[str, Any]:
    return {
        "stream": event.stream, "site": event.site, "subject": event.subject, "kind": event.kind,
        "at": event.at, "key": event.key, "by": event.by, "data": dict(event.data),
        "schema": event.schema,
    }  # fmt: skip


def _event(row: sa.Row[Any]) -> LedgerEvent:
    return LedgerEvent(**row._asdict())


def _row_values(row: LedgerRow) -> dict[str, Any]:
    return {
        "stream": row.stream, "site": row.site, "id": row.id,
        "open": row.open, "data": dict(row.data),
    }  # fmt: skip


def _row(row: sa.Row[Any]) -> LedgerRow:
    return LedgerRow(row.stream, row.site, row.id, row.open, row.data)


def _ask(row: sa.Row[Any]) -> Ask:
    return Ask(**row._asdict())
