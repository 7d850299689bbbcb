"""Figures of one server for Prometheus, and what it says of itself as points."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from api.services import Figure
from collector.adapters.mqtt import MqttSource
from collector.buckets import Late
from collector.ingest import Ingest
from collector.ports import ReadingStore, Unavailable
from collector.projecting import Projecting
from collector.selfwatch import SelfWatch
from commands.deadman import Deadman
from commands.journals import AnyJournal
from commands.side_loops import SideLoops
from config.clock import Clock


@dataclass(frozen=True, slots=True)
class Gauges:
    """The parts of a server that are measured; nothing here raises where a disk cannot be read, and only `said` waits for one."""

    source: MqttSource
    ingest: Ingest
    journal: AnyJournal
    projecting: Projecting
    store: ReadingStore
    watch: SelfWatch
    deadman: Deadman
    clock: Clock
    side: SideLoops
    folder: Path
    """Of its data."""

    def lag_s(self) -> float | None:
        """How long the oldest journal entry that the store does not hold has waited; None: it cannot be read."""
        if not self.projecting.is_behind:
            return 0.0
        try:
            entries = self.journal.read_from(self.projecting.position, 1)
        except Unavailable:
            return None
        return max(0, self.clock.now() - entries[0][1].received) / 1000 if entries else 0.0

    def said(self) -> Mapping[str, float]:
        """The server's own points by name, in the units of `config.links`; without what nobody knows now."""
        counts = self.ingest.receiving.counts
        lag_s, free = self.lag_s(), _free(self.folder)
        return {
            **({} if lag_s is None else {"store_lag": lag_s}),
            **({} if free is None else {"disk_free": free}),
            "store_waiting": self.projecting.lag,
            "queue": self.source.waiting_bytes / 1000,
            "commit_time": 1000 * self.journal.commits.longest_s(),
            "journal_fill": 100 * self.journal.fill,
            "journal_dropped": self.journal.dropped,
            "set_aside": self.ingest.stats.set_aside + counts.get("aside", 0),
        }

    def figures(self) -> list[Figure]:
        """Everything for `/metrics`."""
        return [
            *self._arriving(), *self._journal(), *self._store(), *self._agents(), *self._watch(),
        ]  # fmt: skip

    def _arriving(self) -> Iterator[Figure]:
        stats = self.ingest.stats
        counts = self.ingest.receiving.counts
        yield from _by("outcome", "steward_messages_total", counts, "messages by what became of them")  # fmt: skip
        yield Figure("steward_broker_connected", float(self.source.connected), "1 while the broker is there", counter=False)  # fmt: skip
        yield Figure("steward_received_waiting_bytes", self.source.waiting_bytes, "received and not journalled yet", counter=False)  # fmt: skip
        yield Figure("steward_readings_total", stats.readings, "readings journalled and shown")
        yield Figure("steward_readings_set_aside_total", stats.set_aside, "readings that cannot be right")  # fmt: skip
        yield Figure("steward_readings_late_total", stats.late, "readings behind what the live table showed")  # fmt: skip
        yield Figure("steward_readings_corrected_total", stats.corrected, "readings whose time was corrected")  # fmt: skip
        yield Figure("steward_ledger_refused_total", stats.judge_refused, "decisions that the ledger did not take at first")  # fmt: skip

    def _journal(self) -> Iterator[Figure]:
        commits = self.journal.commits
        yield Figure("steward_journal_commits_total", commits.count, "groups written durably")
        yield Figure("steward_journal_commit_seconds_total", commits.total_s, "how long these writes took together")  # fmt: skip
        yield Figure("steward_journal_fill_ratio", self.journal.fill, "how near the journal is to its cap", counter=False)  # fmt: skip
        yield Figure("steward_journal_dropped_total", self.journal.dropped, "entries that went before all had read them")  # fmt: skip
        yield Figure("steward_journal_set_aside_total", self.journal.set_aside, "files of the journal that were damaged and set aside")  # fmt: skip
        yield Figure("steward_journal_refused_total", self.ingest.stats.journal_refused, "groups the disk did not take at first")  # fmt: skip

    def _store(self) -> Iterator[Figure]:
        stats = self.projecting.stats
        yield Figure("steward_projecting_lag_entries", self.projecting.lag, "journal entries not stored yet", counter=False)  # fmt: skip
        lag_s = self.lag_s()
        yield Figure("steward_journal_readable", float(lag_s is not None), "0 while entries that are not stored yet cannot be read", counter=False)  # fmt: skip
        if lag_s is not None:
            yield Figure("steward_projecting_lag_seconds", lag_s, "how long the oldest of them has waited", counter=False)  # fmt: skip
        yield Figure("steward_store_readings_total", stats.stored, "readings handed to the store")
        yield Figure("steward_store_writes_total", stats.writes, "writes that the store took")
        yield Figure("steward_store_refused_total", stats.refused, "writes that the store did not take at first")  # fmt: skip
        late: Late | None = getattr(self.store, "late", None)  # of stores with a retention of ours
        if late is not None:
            counts = {"dropped": late.dropped, "not_rolled": late.not_rolled}
            yield from _by("outcome", "steward_store_late_total", counts, "readings too late for their retention or for roll-ups")  # fmt: skip
        never: int | None = getattr(self.store, "refused", None)
        if never is not None:
            yield Figure("steward_store_rejected_readings_total", never, "readings that InfluxDB will never take")  # fmt: skip

    def _agents(self) -> Iterator[Figure]:
        now = self.clock.now()
        for (site, agent), seen in self.ingest.receiving.agents().items():
            labels = {"site": site, "agent": agent}
            if seen.heard:
                yield Figure("steward_agent_heard_age_seconds", (now - seen.heard) / 1000, "since an agent last said how it is", labels, counter=False)  # fmt: skip
                yield Figure("steward_agent_backlog_batches", seen.backlog, "batches in an agent's outbox", labels, counter=False)  # fmt: skip
                yield Figure("steward_agent_clock_error_seconds", seen.clock_error / 1000, "an agent's clock minus the server's", labels, counter=False)  # fmt: skip

    def _watch(self) -> Iterator[Figure]:
        age = self.watch.age_ms()
        if age is not None:
            yield Figure("steward_synthetic_age_seconds", age / 1000, "since the newest synthetic reading that came through everything was made", counter=False)  # fmt: skip
        yield Figure("steward_scoring_faults_total", self.ingest.scoring.faults, "assets whose detector stumbled and that are not watched any more")  # fmt: skip
        yield from _by("loop", "steward_loop_restarts_total", self.side.restarts, "loops that stumbled and began again")  # fmt: skip
        pings = {"sent": self.deadman.sent, "failed": self.deadman.failed, "withheld": self.deadman.withheld}  # fmt: skip
        yield from _by("outcome", "steward_deadman_pings_total", pings, "pings of the dead man's switch")  # fmt: skip


def _free(folder: Path) -> float | None:
    """% of its file system that we may still write; None: nobody knows."""
    try:
        disk = shutil.disk_usage(folder)
    except OSError:
        return None
    room = disk.used + disk.free  # less than the whole, of which root keeps some
    return 100 * disk.free / room if room else None


def _by(label: str, name: str, counts: Mapping[str, float], about: str) -> Iterable[Figure]:
    """One family of counters, a label each."""
    return [Figure(name, n, about, {label: kind}) for kind, n in tuple(counts.items())]
