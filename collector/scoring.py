"""How unusual the points of an asset are together: a score row by row, journalled as a reading of the agent `steward`.

Where a profile asks for it. The score stands in the journal beside the readings it was made of, so whoever reads
the journal again finds it and makes none. What the detector has learnt is kept in a file, as the live
table is: the journal forgets what it was learnt from. Whatever the detector stumbles over, readings go on.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import msgspec
import numpy as np

from collector.groups import Group
from collector.live import LiveTable
from collector.ports import Entry, Journal
from collector.scored import NO_VALUE, Heard, SavedAsset, Score, Scored, fits, saved, take_up
from collector.speaking import Speaker
from config.plant import SCORE, STEWARD, Device, Plant
from edge.readings import BAD

T = TypeVar("T")
log = logging.getLogger("steward.scoring")

ROWS_AT_ONCE: Final = 200
"""Rows that one pass judges, or `WAITING_SHARE` of those that wait if that is more: behind a hole every asset has a minute of them."""
WAITING_SHARE: Final = 8


class _Saved(msgspec.Struct):
    position: int
    assets: dict[str, SavedAsset]


@dataclass(slots=True)
class _Spoken:
    """What the journal has of a site's speaker of scores; `place` is that of each point among those it says."""

    speaker: Speaker
    place: dict[str, int]
    born: bool = False
    seq: int = 0


class Scoring:
    """The detectors of all assets that ask for one. `restore` first; then groups in the order of the journal.

    `faults` counts what detectors stumbled over, `aside` says of which assets since the start, and why.
    """

    def __init__(self, plants: Iterable[Plant], live: LiveTable) -> None:
        self._assets: list[Scored] = []
        self._column: dict[int, tuple[int, int]] = {}
        self._spoken: dict[str, _Spoken] = {}
        for plant in plants:
            for device in plant.devices.values():
                self._add(plant, device, live)
            if points := [asset.point for asset in self._assets if asset.site == plant.site]:
                self._spoken[plant.site] = _spoken(plant, sorted(points))
        self._rows = np.array(sorted(self._column), np.int64)
        self._fallen: list[Scored] = []
        """Whose last word is still to be said."""
        self._is_ahead = False
        self.position = 0
        self.faults = 0
        self.aside: dict[str, str] = {}

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
        asset = Scored(
            plant.site, f"{device.asset}/{SCORE}", hashlib.sha256(asked.encode()).hexdigest()[:16],
            round(spec.every_s * 1000), spec.learn_rows,
            np.array([point.longest_silence_s * 1000 for point in points]), nothing, nothing.copy(),
        )  # fmt: skip
        for column, point in enumerate(points):
            self._column[live.row(plant.site, point.id)] = (len(self._assets), column)
        self._assets.append(asset)

    # --- start ---------------------------------------------------------------------------------

    def restore(self, saved: bytes, journal: Journal) -> int:
        """Take up what `dump` gave (empty: nothing); returns its journal position, 0 if it cannot be read.

        An asset that is asked to watch otherwise than then learns anew; so does one whose state is lost or spoilt,
        and the log says so.
        """
        marks = journal.marks()
        known = {(entry.site, entry.epoch) for entry in journal.births() if entry.agent == STEWARD}
        for site, spoken in self._spoken.items():
            epoch = spoken.speaker.epoch
            spoken.born = (site, epoch) in known
            spoken.seq = marks.get((site, STEWARD, epoch, "data"), 0)
        try:
            file = msgspec.msgpack.decode(saved, type=_Saved)
        except msgspec.MsgspecError:
            file = _Saved(0, {})
        is_spoilt = bool(saved) and not file.assets
        for asset in self._assets:
            kept = file.assets.get(asset.name)
            if kept is not None and kept.asked != asset.asked:
                continue
            if kept is not None and fits(kept, len(asset.value)):
                take_up(asset, kept)
            elif kept or is_spoilt or self._spoken[asset.site].born:
                log.warning("%s learns anew what is normal: what it had learnt is lost", asset.name)
        self.position = file.position
        return file.position

    def dump(self) -> bytes | None:
        """All that was learnt, with its journal position, for `restore`; None while it knows what the journal does not have yet."""
        if self._is_ahead:
            return None
        assets = {asset.name: saved(asset) for asset in self._assets if not asset.is_aside}
        return msgspec.msgpack.encode(_Saved(self.position, assets))

    # --- readings ------------------------------------------------------------------------------

    def take(self, group: Group, *, urgent: bool = False) -> list[Entry]:
        """What is to be journalled with the group: scores, and who says them where that is new.

        The group has no position yet: `at` tells it, once it is durable. With an `urgent` one nothing is
        judged: nobody waits for it but those who must know of an alarm. Never raises.
        """
        self._is_ahead = True
        try:
            scores: dict[str, list[Score]] = {}
            for asset, score in self._scores(group, urgent=urgent):
                scores.setdefault(asset.site, []).append(score)
            for asset, score in () if urgent else self._last_words(group.received):
                scores.setdefault(asset.site, []).append(score)
            return [
                entry
                for site, found in scores.items()
                for entry in _entries(self._spoken[site], found, group.received)
            ]
        except Exception as error:  # noqa: BLE001  # a reading is worth more than any score
            self._end(error)
            return []

    def at(self, position: int) -> None:
        """What was taken last stands in the journal up to there."""
        self._is_ahead = False
        self.position = max(self.position, position)

    def replayed(self, group: Group, *, urgent: bool = False) -> None:
        """A group that is in the journal, with its scores: they are made again, and not said again. Never raises.

        The last word of an asset that falls here goes with the next group that is taken: nobody knows whether the
        journal has it, and twice is once.
        """
        try:
            for _ in self._scores(group, urgent=urgent):
                pass
        except Exception as error:  # noqa: BLE001  # the server must start
            self._end(error)
        self.at(group.position)

    def _scores(self, group: Group, *, urgent: bool) -> Iterator[tuple[Scored, Score]]:
        """Of the live readings of watched points: rows that they close wait, and so many that wait are judged."""
        heard = [
            (self._assets[number], readings) for number, readings in self._heard(group).items()
        ]
        if any(asset.was_ahead(group.received, readings) for asset, readings in heard):
            for asset in self._assets:
                asset.set_back(group.received)
        for asset, readings in heard:
            self._tried(asset, partial(asset.hear, readings))
        if urgent:
            return
        waiting = [asset for asset in self._assets if asset.waiting]
        left = max(ROWS_AT_ONCE, sum(len(asset.waiting) for asset in waiting) // WAITING_SHARE)
        for asset in sorted(waiting, key=lambda asset: asset.waiting[0].end):
            had = len(asset.waiting)
            for score in self._tried(asset, partial(asset.judge, left)) or ():
                yield asset, score
            left -= had - len(asset.waiting)
            if left <= 0:
                break

    def _heard(self, group: Group) -> dict[int, list[Heard]]:
        """By asset, in order of time."""
        found: dict[int, list[Heard]] = {}
        if not len(self._rows):
            return found
        time = np.minimum(group.time, group.received)
        index = np.flatnonzero(np.isin(group.row, self._rows) & group.live)
        index = index[np.argsort(time[index], kind="stable")]
        values = np.where(group.quality[index] < BAD, group.value[index], np.nan)
        rows = zip(group.row[index].tolist(), time[index].tolist(), values.tolist(), strict=True)
        for row, at, value in rows:
            number, column = self._column[row]
            if not self._assets[number].is_aside:
                found.setdefault(number, []).append((at, column, value))
        return found

    # --- faults --------------------------------------------------------------------------------

    def _tried(self, asset: Scored, work: Callable[[], T]) -> T | None:
        """What comes of it; None where it raised."""
        try:
            return work()
        except Exception as error:  # one asset's detector stops no reading and no other asset
            log.exception("%s is not watched until the next start", asset.name)
            self._set_aside(asset, error)
            return None

    def _end(self, error: Exception) -> None:
        """What belongs to no asset went wrong: nothing is scored any more."""
        log.error("no asset is watched until the next start", exc_info=error)
        for asset in self._assets:
            self._set_aside(asset, error)
        self._rows = self._rows[:0]

    def _set_aside(self, asset: Scored, error: Exception) -> None:
        if not asset.is_aside:
            self.faults += 1
            self._fallen.append(asset)
        asset.is_aside, asset.waiting = True, []
        self.aside[asset.name] = f"{type(error).__name__}: {error}"

    def _last_words(self, at: int) -> list[tuple[Scored, Score]]:
        """Of each asset that fell that it has no score; once, also where that cannot be said."""
        fallen, self._fallen = self._fallen, []
        return [(asset, (asset.point, at, np.nan, NO_VALUE)) for asset in fallen]


# --- the agent `steward` -----------------------------------------------------------------------


def _spoken(plant: Plant, points: Sequence[str]) -> _Spoken:
    place = {point: index for index, point in enumerate(points)}
    return _Spoken(Speaker(plant, [plant.points[point] for point in points]), place)


def _entries(spoken: _Spoken, scores: Sequence[Score], received: int) -> Iterator[Entry]:
    """One batch, behind a birth where it is the first."""
    speaker, site = spoken.speaker, spoken.speaker.plant.site
    if not spoken.born:
        spoken.born = True
        yield Entry(received, "birth", site, STEWARD, epoch=speaker.epoch, payload=speaker.birth())
    spoken.seq += 1
    said = [(spoken.place[point], time, value, quality) for point, time, value, quality in scores]
    yield Entry(
        received, "batch", site, STEWARD, "data", speaker.epoch, spoken.seq,
        payload=speaker.batch(said, spoken.seq, received), readings=len(scores),
    )  # fmt: skip
