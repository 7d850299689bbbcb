"""How unusual the points of an asset are together: a score row by row, journalled as a reading of the agent `steward`.

Where a profile asks for it. The score stands in the journal beside the readings it was made of, so whoever reads
the journal again finds it and makes none. What the detector has learnt is kept in a file, as the live
table is: the journal forgets what it was learnt from.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from collector.domain.detector import Normal, Watch, began, judged, skipped
from collector.groups import Group
from collector.live import LiveTable
from collector.ports import Entry, Journal
from config.plant import SCORE, STEWARD, Device, Plant
from edge.readings import (
    BAD,
    CONTRACT,
    QUALITIES,
    Birth,
    Floats,
    PointRow,
    Readings,
    encode,
    encode_batch,
)

FILL_MAX: Final = 60
"""So many rows on end are made of values that still hold; behind a longer hole the detector is told of the hole."""
NO_VALUE: Final = QUALITIES["no_answer"]
FEW_VALUES: Final = QUALITIES["stale_source"]


class _Learnt(msgspec.Struct):
    """A watch as a file: columns are little-endian float64."""

    noise: bytes
    mean_noise: bytes
    wander: bytes
    level: bytes
    doubt: bytes
    recent: bytes
    above: int
    alarmed: bool


class _SavedAsset(msgspec.Struct):
    """One asset's state; `asked` is what it was asked to watch, and how."""

    asked: str
    slot: int | None
    value: bytes
    time: bytes
    rows: list[bytes]
    learnt: _Learnt | None


class _Saved(msgspec.Struct):
    position: int
    assets: dict[str, _SavedAsset]


@dataclass(slots=True)
class _Asset:
    """One asset under watch. `value` and `time` (UTC ms) are the last of each point; `slot` numbers the row that is open."""

    site: str
    point: str
    asked: str
    every_ms: int
    learn_rows: int
    silence_ms: Floats
    value: Floats
    time: Floats
    slot: int | None = None
    rows: list[Floats] = field(default_factory=list)
    watch: Watch | None = None


@dataclass(slots=True)
class _Speaker:
    """What `steward` says at one site: its points by index, and what of it the journal has."""

    points: list[str]
    epoch: str
    born: bool = False
    seq: int = 0


Score = tuple[str, int, float, int]
"""Point, UTC ms, value in σ (NaN: none), quality."""


class Scoring:
    """The detectors of all assets that ask for one. `restore` first; then groups in the order of the journal."""

    def __init__(self, plants: Iterable[Plant], live: LiveTable) -> None:
        self._assets: list[_Asset] = []
        self._column: dict[int, tuple[_Asset, int]] = {}
        for plant in plants:
            for device in plant.devices.values():
                self._add(plant, device, live)
        self._rows = np.array(sorted(self._column), np.int64)
        self._speakers = {site: _speaker(self._assets, site) for site in {a.site for a in self._assets}}  # fmt: skip
        self.position = 0

    def __len__(self) -> int:
        return len(self._assets)

    def _add(self, plant: Plant, device: Device, live: LiveTable) -> None:
        profile = plant.profiles.get(device.profile)
        spec = profile.watch if profile else None
        if spec is None:
            return
        points = [plant.points[f"{device.asset}/{own}"] for own in spec.points]
        asked = repr((spec, device.learnt, [point.unit for point in points]))
        nothing = np.full(len(points), np.nan)
        asset = _Asset(
            plant.site, f"{device.asset}/{SCORE}", hashlib.sha256(asked.encode()).hexdigest()[:16],
            round(spec.every_s * 1000), spec.learn_rows,
            np.array([point.longest_silence_s * 1000 for point in points]), nothing, nothing.copy(),
        )  # fmt: skip
        self._assets.append(asset)
        for column, point in enumerate(points):
            self._column[live.row(plant.site, point.id)] = (asset, column)

    # --- start ---------------------------------------------------------------------------------

    def restore(self, saved: bytes, journal: Journal) -> int:
        """Take up what `dump` gave (empty: nothing); returns its journal position, 0 if it cannot be read.

        An asset that is asked to watch otherwise than then learns anew.
        """
        marks = journal.marks()
        known = {(entry.site, entry.epoch) for entry in journal.births() if entry.agent == STEWARD}
        for site, speaker in self._speakers.items():
            speaker.born = (site, speaker.epoch) in known
            speaker.seq = marks.get((site, STEWARD, speaker.epoch, "data"), 0)
        try:
            file = msgspec.msgpack.decode(saved, type=_Saved)
        except msgspec.MsgspecError:
            return 0
        for asset in self._assets:
            kept = file.assets.get(f"{asset.site}/{asset.point}")
            if kept is not None and kept.asked == asset.asked:
                _take_up(asset, kept)
        self.position = file.position
        return file.position

    def dump(self) -> bytes:
        """All that was learnt, with its journal position, for `restore`."""
        assets = {f"{asset.site}/{asset.point}": _saved(asset) for asset in self._assets}
        return msgspec.msgpack.encode(_Saved(self.position, assets))

    # --- readings ------------------------------------------------------------------------------

    def take(self, group: Group) -> list[Entry]:
        """What is to be journalled with the group: its scores, and who says them where that is new.

        The group has no position yet: `at` tells it, once it is durable.
        """
        scores: dict[str, list[Score]] = {}
        for asset, score in self._scores(group):
            scores.setdefault(asset.site, []).append(score)
        return [
            entry
            for site, found in scores.items()
            for entry in _entries(site, self._speakers[site], found, group.received)
        ]

    def at(self, position: int) -> None:
        """What was taken last stands in the journal up to there."""
        self.position = max(self.position, position)

    def replayed(self, group: Group) -> None:
        """A group that is in the journal, with its scores: they are made again, and not said again."""
        for _ in self._scores(group):
            pass
        self.at(group.position)

    def _scores(self, group: Group) -> Iterator[tuple[_Asset, Score]]:
        """Of the live readings of watched points in order of time; what comes behind its row's end is too late."""
        if not len(self._rows):
            return
        time = np.minimum(group.time, group.received)
        index = np.flatnonzero(np.isin(group.row, self._rows) & group.live)
        index = index[np.argsort(time[index], kind="stable")]
        usable = group.quality[index] < BAD
        values = np.where(usable, group.value[index], np.nan)
        rows = zip(group.row[index].tolist(), time[index].tolist(), values.tolist(), strict=True)
        for row, at, value in rows:
            asset, column = self._column[row]
            yield from ((asset, score) for score in _heard(asset, at))
            if asset.slot is not None and at // asset.every_ms >= asset.slot:
                asset.value[column], asset.time[column] = value, at


def _heard(asset: _Asset, at: int) -> Iterator[Score]:
    """The scores of the rows that end before the one in which `at` lies."""
    slot = at // asset.every_ms
    if asset.slot is None:
        asset.slot = slot
    if slot <= asset.slot:
        return
    over, asset.slot = asset.slot, slot
    filled = over + 1 if slot - over > FILL_MAX else slot
    for one in range(over, filled):
        score = _judged(asset, (one + 1) * asset.every_ms)
        if score is not None:
            yield score
    if slot > filled and asset.watch is not None:
        asset.watch = skipped(asset.watch, slot - filled)


def _judged(asset: _Asset, end: int) -> Score | None:
    """The score of the row that ends at `end` (UTC ms), of values that still hold; None while it is learnt."""
    row = np.where(end - asset.time <= asset.silence_ms + asset.every_ms, asset.value, np.nan)
    if asset.watch is None:
        _learn(asset, row)
        return None
    asset.watch, verdicts = judged(asset.watch, row[None, :])
    there = int(np.isfinite(row).sum())
    if not there:
        return asset.point, end, np.nan, NO_VALUE
    quality = 0 if 2 * there >= len(row) else FEW_VALUES
    return asset.point, end, float(verdicts.score[0]), quality


def _learn(asset: _Asset, row: Floats) -> None:
    asset.rows.append(row)
    if len(asset.rows) >= asset.learn_rows:
        asset.watch, asset.rows = began(np.array(asset.rows)), []


# --- the agent `steward` -----------------------------------------------------------------------


def _speaker(assets: Sequence[_Asset], site: str) -> _Speaker:
    """Another set of points is another epoch, as for every agent."""
    points = sorted(asset.point for asset in assets if asset.site == site)
    return _Speaker(points, hashlib.sha256("\n".join(points).encode()).hexdigest()[:16])


def _entries(
    site: str, speaker: _Speaker, scores: Sequence[Score], received: int
) -> Iterator[Entry]:
    if not speaker.born:
        speaker.born = True
        yield Entry(received, "birth", site, STEWARD, epoch=speaker.epoch, payload=_birth(speaker))
    speaker.seq += 1
    point, time, value, quality = zip(*scores, strict=True)
    readings = Readings(
        np.array([speaker.points.index(one) for one in point], np.int64), np.array(time, np.int64),
        np.array(value), np.array(quality, np.uint8),
    )  # fmt: skip
    payload = encode_batch(readings, epoch=speaker.epoch, seq=speaker.seq, oldest=speaker.seq, now=received)  # fmt: skip
    yield Entry(
        received, "batch", site, STEWARD, "data", speaker.epoch, speaker.seq, payload=payload,
        readings=len(scores),
    )  # fmt: skip


def _birth(speaker: _Speaker) -> bytes:
    rows = [
        PointRow(index, point, "σ", "measurement", 2, "data", 0.0, 0.0)
        for index, point in enumerate(speaker.points)
    ]
    return encode(Birth(CONTRACT, 1, speaker.epoch, "", "", rows))


# --- the file ----------------------------------------------------------------------------------

_NORMAL: Final = ("noise", "mean_noise", "wander")
_OWN: Final = ("level", "doubt", "recent")


def _saved(asset: _Asset) -> _SavedAsset:
    watch = asset.watch
    learnt = None
    if watch is not None:
        columns = {name: getattr(watch.normal, name).tobytes() for name in _NORMAL}
        columns |= {name: getattr(watch, name).tobytes() for name in _OWN}
        learnt = _Learnt(**columns, above=watch.above, alarmed=watch.alarmed)
    rows = [row.tobytes() for row in asset.rows]
    return _SavedAsset(asset.asked, asset.slot, asset.value.tobytes(), asset.time.tobytes(), rows, learnt)  # fmt: skip


def _take_up(asset: _Asset, kept: _SavedAsset) -> None:
    asset.slot = kept.slot
    asset.value, asset.time = _floats(kept.value), _floats(kept.time)
    asset.rows = [_floats(row) for row in kept.rows]
    if kept.learnt is not None:
        asset.watch = _watch_of(kept.learnt, len(asset.value))


def _watch_of(learnt: _Learnt, points: int) -> Watch:
    normal = Normal(*(_floats(getattr(learnt, name)) for name in _NORMAL))
    level, doubt, recent = (_floats(getattr(learnt, name)) for name in _OWN)
    return Watch(normal, level, doubt, recent.reshape(-1, points), learnt.above, learnt.alarmed)


def _floats(column: bytes) -> Floats:
    return np.frombuffer(column, np.float64).copy()
