"""The counts of a journal in NATS: one value for each hour, so that none grows with the years."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from collector.adapters.nats_log import NatsLog
from collector.counting import Counts, merged
from collector.ports import CountKey

KIND: Final = "counts"
ZLIB_LEVEL: Final = 6
_Rows = list[tuple[str, str, str, int, int, int, int, int, int]]
_encoder = msgspec.msgpack.Encoder()
_hour = msgspec.msgpack.Decoder(tuple[int, _Rows])


@dataclass(slots=True)
class _Hour:
    """`whole` once what was kept before is in it: the pieces up to `as_of`."""

    counts: dict[CountKey, Counts] = field(default_factory=dict)
    as_of: int = 0
    whole: bool = False
    changed: bool = False


class HourCounts:
    """Folds the counts of pieces, and keeps each hour with the piece as of which it stands: so none is counted twice."""

    def __init__(self, log: NatsLog) -> None:
        self._log = log
        self._hours: dict[int, _Hour] = {}

    def add(self, seq: int, counts: Mapping[CountKey, Counts]) -> None:
        """Take up the counts of a piece of ours; memory only."""
        for key, more in counts.items():
            held = self._hours.setdefault(key[3], _Hour())
            if seq > held.as_of:
                held.counts.setdefault(key, Counts()).add(more)
                held.changed = True

    def found(self, seq: int, counts: Mapping[CountKey, Counts]) -> None:
        """Take up a piece that was there before us, and may have been counted."""
        for hour in {key[3] for key in counts}:
            self._complete(hour)
        self.add(seq, counts)

    def keep(self, seq: int) -> None:
        """Keep every hour that changed, as of piece `seq`; of those kept only the newest stays in memory."""
        for hour, held in self._hours.items():
            if held.changed:
                self._complete(hour)
                self._log.keep(f"{KIND}.{hour}", _packed(seq, held.counts))
                held.changed, held.as_of = False, seq
        for hour in sorted(self._hours)[:-1]:
            del self._hours[hour]

    def held(self) -> dict[int, dict[CountKey, Counts]]:
        """Copies of the hours in memory, whole, by hour."""
        for hour in list(self._hours):
            self._complete(hour)
        return {hour: merged([held.counts]) for hour, held in self._hours.items()}

    def with_others(self, held: Mapping[int, Mapping[CountKey, Counts]]) -> dict[CountKey, Counts]:
        """Those of these hours, and of all others as they were kept: after years this takes seconds."""
        kept = {int(hour): value for hour, value in self._log.all_kept(KIND).items()}
        others = (_unpacked(kept[hour])[1] for hour in kept.keys() - held.keys())
        return merged([*others, *held.values()])

    def _complete(self, hour: int) -> None:
        held = self._hours.setdefault(hour, _Hour())
        if held.whole:
            return
        value = self._log.kept(f"{KIND}.{hour}")
        held.as_of, before = _unpacked(value) if value else (0, {})
        held.counts, held.whole = merged([before, held.counts]), True


def _packed(seq: int, counts: Mapping[CountKey, Counts]) -> bytes:
    rows = [
        (*key, c.batches, c.readings, c.missing, c.aside, c.aside_batches)
        for key, c in counts.items()
    ]
    return zlib.compress(_encoder.encode((seq, rows)), ZLIB_LEVEL)


def _unpacked(value: bytes) -> tuple[int, Mapping[CountKey, Counts]]:
    seq, rows = _hour.decode(zlib.decompress(value))
    return seq, {row[:4]: Counts(*row[4:]) for row in rows}
