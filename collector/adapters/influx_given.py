"""What of each agent, lane and hour a bucket was given: a sum at each hour, written with the cursor."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from collector.adapters import influx_flux as flux
from collector.adapters.influx_cursor import JOURNAL
from collector.adapters.influx_server import Bucket
from collector.adapters.lineprotocol import escaped
from collector.counting import HOUR_MS
from collector.ports import CountKey, StoreBatch

GIVEN: Final = "steward_given"
HOURS_KNOWN: Final = 2


class Given:
    """One journal's sums. `lines` and `kept` are called by whoever writes, before and behind the post."""

    def __init__(self, bucket: Bucket, journal: str) -> None:
        self._bucket = bucket
        self._journal = journal
        self._hours: dict[int, Counter[CountKey]] = {}
        self._next: dict[int, Counter[CountKey]] = {}

    def forget(self) -> None:
        """Another process may have written: ask again."""
        self._hours = {}

    def lines(self, batches: Iterable[StoreBatch]) -> str:
        """The hours that `batches` add to, as they are then: a repeat writes the same."""
        more: Counter[CountKey] = Counter()
        for batch in batches:
            more.update(batch.given)
        self._next = {hour: Counter(sums) for hour, sums in self._hours.items()}
        for hour in {hour for *_, hour in more} - self._next.keys():
            self._next[hour] = self._asked(hour, hour + HOUR_MS)
        for key, count in more.items():
            self._next[key[3]][key] += count
        return "".join(self._line(key, self._next[key[3]][key]) for key in more)

    def kept(self) -> None:
        """They are written."""
        newest = sorted(self._next)[-HOURS_KNOWN:]
        self._hours = {hour: self._next[hour] for hour in newest}

    def all(self) -> Counter[CountKey]:
        """Of all hours that the bucket keeps."""
        return self._asked(-flux.TIME_MS_MAX, flux.TIME_MS_MAX)

    def _line(self, key: CountKey, count: int) -> str:
        site, agent, lane, hour = key
        tags = {JOURNAL: self._journal, "site": site, "agent": agent, "lane": lane}
        said = "".join(f",{name}={escaped(text)}" for name, text in tags.items() if text)
        return f"{GIVEN}{said} readings={count}i {hour}\n"

    def _asked(self, start: int, end: int) -> Counter[CountKey]:
        source = flux.source(self._bucket.name, GIVEN, start, end)
        rows = self._bucket.ask(f"{source} |> {flux.where(flux.tag(JOURNAL, self._journal))}")
        return Counter(
            {
                (
                    row.get("site", ""), row.get("agent", ""), row.get("lane", ""),
                    flux.time_of(row["_time"]),
                ): int(row["_value"])
                for row in rows
            }
        )  # fmt: skip
