"""`steward prove kills`: kill -9 of edge, broker, server and InfluxDB at random, then compare all that was left."""

import argparse
import contextlib
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from api.adapters.desk_sql import SqlDesk
from api.desk.work_orders import from_data
from api.ordering import ORDER
from collector.adapters.journal_sqlite import SqliteJournal
from collector.adapters.ledger_sql import SqlDecisions, open_ledger
from collector.ports import Entry
from commands.demo import prepare, start
from commands.installation import Installation, Stop
from commands.part_servers import free_port
from commands.parts import NotHere, ensure
from commands.proving.history import AgentHistory, History, Key, problems, told_of
from commands.proving.real_parts import store_of, with_influxd, with_mosquitto
from commands.proving.telling import tell
from config.plant import Plant
from config.profile import Register
from edge.readings import Birth, Malformed, decode, decode_batch

QUIET_S_MAX = 60.0
ALL_TIME = 2**53
WHOLE = "journal-whole"
PARTS = {"mosquitto": with_mosquitto, "influxd": with_influxd}
"""Real parts that a site may have instead of its own broker and store."""
NONE_OF = {
    "made": "nothing was made",
    "stored": "nothing was stored",
    "alarms": "no alarm was raised",
    "work_orders": "no work order was raised",
}


def run(arguments: argparse.Namespace) -> int:
    """0 when nothing was lost or doubled, 1 when something was, 3 when the site did not come up."""
    names = [name for name in (arguments.broker, arguments.store) if name in PARTS]
    programs = ensure(names, say=_say)
    for missing in programs.values():
        if isinstance(missing, NotHere):
            _say(f"{missing.part} cannot be had: {missing.reason}")
            return 3
    real = {name: path for name, path in programs.items() if isinstance(path, Path)}
    with tempfile.TemporaryDirectory(prefix="steward-kills-") as folder:
        found = prove_kills(Path(folder), arguments.seconds, arguments.kills, arguments.seed, real)
    if found is None:
        return 3
    return tell(found, as_json=arguments.json)


def _say(text: str) -> None:
    print(f"steward prove: {text}", file=sys.stderr, flush=True)


def prove_kills(
    data: Path, seconds: float, kills: int, seed: int, real: Mapping[str, Path] | None = None
) -> dict[str, Any] | None:
    """One run; what it came to, None if the site did not come up. `real` are programs of `PARTS` to use."""
    site = prepare(data, free_port(), 1.0)
    for name, program in (real or {}).items():
        PARTS[name](site, program)
    stop = Stop(install=False)
    try:
        if start(site, stop, seed) is None:
            return None
        killed = _kill(site, seconds, kills, np.random.default_rng(seed))
        quiet_s = _until_quiet(site)
    finally:
        _end(site)
    found = outcome(read_history(site), killed, quiet_s, asked=kills)
    return {"seed": seed, "seconds": seconds, **found}


def outcome(
    history: History, killed: Mapping[str, int], quiet_s: float, *, asked: int
) -> dict[str, Any]:
    """What a run came to; one that had nothing to lose, or fewer kills than were asked for, proves nothing."""
    found: dict[str, Any] = {
        "kills": sum(killed.values()),
        "killed": killed,
        "quiet_after_s": round(quiet_s, 1),
        "made": sum(agent.made for agent in history.agents.values()),
        "journalled": sum(agent.journalled for agent in history.agents.values()),
        "held": sum(agent.held for agent in history.agents.values()),
        "stored": len(history.stored),
        "alarms": len(history.occurrences),
        "work_orders": len(history.order_causes),
    }
    wrong = [*problems(history), *none_of(found)]
    if found["kills"] < asked:
        wrong.append(f"only {found['kills']} kills of {asked}")
    if quiet_s > QUIET_S_MAX:
        wrong.append(f"not quiet within {QUIET_S_MAX:.0f} s")
    return found | {"problems": wrong}


def none_of(found: Mapping[str, Any]) -> list[str]:
    """What there was none of, so that none of it could be lost or said twice."""
    return [text for name, text in NONE_OF.items() if not found[name]]


def shares_of(victims: Sequence[str]) -> list[float]:
    """Of the kills: the agents together have as many as the broker, or the server."""
    agents = [name for name in victims if "." in name]
    parts = len(victims) - len(agents) + bool(agents)
    return [1 / parts / (len(agents) if name in agents else 1) for name in victims]


def _kill(
    site: Installation, seconds: float, kills: int, rng: np.random.Generator
) -> dict[str, int]:
    """Kill one process at a time, at random, at least `kills` in `seconds`; each starts again at once."""
    victims = [name for name in site.by_name if name != "devices"]
    shares = shares_of(victims)
    killed = dict.fromkeys(victims, 0)
    times = np.sort(rng.uniform(0, seconds, kills + int(kills * 0.1)))
    names = [
        *rng.permutation(victims),
        *rng.choice(victims, len(times), p=shares),
    ]  # each of them at least once
    begun = time.monotonic()
    for at, name in zip(times.tolist(), names, strict=False):
        time.sleep(max(0.0, begun + at - time.monotonic()))
        site.by_name[name].restart()
        keep_journal(site.data)
        killed[name] += 1
        _say(f"{at:5.1f} s: killed {name}")
    time.sleep(max(0.0, begun + seconds - time.monotonic()))
    return killed


def _until_quiet(site: Installation) -> float:
    """Seconds until every outbox was empty and the store had caught up, seen at one moment."""
    begun = time.monotonic()
    while time.monotonic() - begun <= QUIET_S_MAX:
        site.children.look()
        keep_journal(site.data)
        if is_quiet(site):
            return time.monotonic() - begun
        time.sleep(0.1)
    return time.monotonic() - begun


def is_quiet(site: Installation) -> bool:
    """Whether outboxes hold only what was just read and the store has caught up; False while nobody can say."""
    try:
        lag = site.call("delivery")["readings"]["waiting_for_store"]
        return not lag and not any(_held(path) for path in _outboxes(site))
    except (OSError, ValueError, HTTPException, sqlite3.OperationalError):
        return False  # server or agent is just starting again


def _outboxes(site: Installation) -> list[Path]:
    return sorted((site.data / "edge").glob("*.outbox"))


def _held(path: Path) -> int:
    """Batches that wait for more than a second: younger ones are on their way."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        newest = (time.time_ns() // 1_000_000) - 1_000
        return int(
            db.execute("SELECT count(*) FROM batches WHERE made < ?", (newest,)).fetchone()[0]
        )
    finally:
        db.close()


def _end(site: Installation) -> None:
    """Agents first, so that what they send last still arrives; then the rest."""
    for name, child in site.by_name.items():
        if "." in name:
            child.signal(signal.SIGTERM)
    time.sleep(3.0)
    site.children.stop()
    keep_last_of_journal(site.data)


def keep_last_of_journal(data: Path) -> None:
    """Keep the journal of a site that does not run any more, with what a killed server left in its WAL."""
    SqliteJournal(data / "journal").close()
    keep_journal(data)


def keep_journal(data: Path) -> None:
    """Give each of the journal's files a second name: with a new hour the journal lets the one go that
    everybody has read, and the proof reads all of it. What it had in its WAL is in it by then.
    """
    whole = data / WHOLE
    whole.mkdir(exist_ok=True)
    for path in (data / "journal").glob("journal-*.sqlite"):
        with contextlib.suppress(FileNotFoundError):  # just gone
            _keep(path, whole / path.name)


def _keep(path: Path, kept: Path) -> None:
    try:
        os.link(path, kept)
    except FileExistsError:
        # one that a server was killed over while it made it is thrown away and begun again under its name;
        # had it held anything, what is kept of the new one would be too little, and readings seem lost
        if not path.samefile(kept):
            new = kept.with_suffix(".new")
            new.unlink(missing_ok=True)  # a proof that was ended between the two
            os.link(path, new)
            new.replace(kept)


# --- what was left behind


def read_history(site: Installation) -> History:
    """Read outboxes, journal, store and ledger of a site that does not run any more."""
    (plant,) = site.plants.values()
    journal = SqliteJournal(site.data / WHOLE)
    entries = [entry for _, entry in journal.read_from(0, ALL_TIME)]
    journal.close()
    agents = {agent: agent_history(site.data, plant.site, agent, entries) for agent in plant.agents}
    journalled, names = _journalled(entries)
    stored: dict[Key, list[float | None]] = {}
    with store_of(site) as store:
        for where, point in sorted(names):
            raw = store.raw(where, point, 0, ALL_TIME)
            for at, value in zip(raw.time.tolist(), raw.value.tolist(), strict=True):
                stored.setdefault((where, point, at), []).append(value)
    history = History(agents, journalled, stored, polled_points(plant))
    return _with_decisions(site, plant.site, history)


def polled_points(plant: Plant) -> set[tuple[str, str]]:
    """(site, point) of the points that are read from registers."""
    points = plant.points.values()
    return {(plant.site, p.id) for p in points if isinstance(p.spec.source, Register)}


def agent_history(data: Path, where: str, agent: str, entries: Sequence[Entry]) -> AgentHistory:
    """What an agent's outbox counted, and what the journal's entries have of it."""
    own = [e for e in entries if (e.site, e.agent) == (where, agent)]
    spans: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for entry in own:
        if entry.seq and entry.lane:
            spans[entry.epoch, entry.lane].append((entry.seq, max(entry.seq, entry.until)))
    marks = {key: rows[-1][1] for key, rows in spans.items()}
    path = data / "edge" / f"{where}.{agent}.outbox"
    db = sqlite3.connect(path)
    try:
        made, thinned = db.execute("SELECT sum(made), sum(thinned) FROM counts").fetchone()
        epoch = db.execute("SELECT text FROM meta WHERE name = 'epoch'").fetchone()[0]
        held = sum(
            readings
            for readings, lane, seq in db.execute("SELECT readings, lane, seq FROM batches")
            if seq is None or seq > marks.get((epoch, lane), 0)
        )
    finally:
        db.close()
    batches = sum(e.readings for e in own if e.kind == "batch")
    missing = sum(max(e.seq, e.until) - e.seq + 1 for e in own if e.kind == "missing")
    return AgentHistory(made or 0, thinned or 0, held, batches, missing=missing, numbers=spans)


def _journalled(
    entries: list[Entry],
) -> tuple[dict[Key, list[float | None]], set[tuple[str, str]]]:
    """Every reading of the journal by its key, and the points that it speaks of."""
    tables: dict[tuple[str, str, str], list[str]] = {}
    found: dict[Key, list[float | None]] = {}
    names: set[tuple[str, str]] = set()
    for entry in entries:
        if entry.kind == "birth":
            birth = decode(entry.payload, Birth)
            tables[entry.site, entry.agent, birth.epoch] = [row.point for row in birth.points]
        if entry.kind != "batch":
            continue
        try:
            batch = decode_batch(entry.payload)
        except Malformed:
            continue
        points = tables[entry.site, entry.agent, entry.epoch]
        for index, offset, value in zip(batch.i, batch.d, batch.v, strict=True):
            found.setdefault((entry.site, points[index], batch.t + offset), []).append(value)
            names.add((entry.site, points[index]))
    return found, names


def _with_decisions(site: Installation, where: str, history: History) -> History:
    engine = open_ledger(f"sqlite:///{site.data / 'ledger.db'}")
    decisions, desk = SqlDecisions(engine), SqlDesk(engine)
    try:
        events = [e for e in decisions.since(0, 1_000_000) if e.stream == "alarm"]
        alarms = decisions.rows("alarm", where)
        history.told = [told_of(e.subject, e.kind, e.at, e.data) for e in events]
        history.occurrences = [
            (row.data["rule"], row.data["raised_at"], row.data["returned_at"]) for row in alarms
        ]
        orders = [from_data(row.data) for row in desk.rows(ORDER, where)]
        history.order_causes = [order.cause for order in orders if order.cause]
        history.faults = [
            (f"{o.asset} {o.fault_class}", o.raised_at, None if o.open else o.updated_at)
            for o in orders
            if o.kind == "fault"
        ]
        return history
    finally:
        decisions.close()
