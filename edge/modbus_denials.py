"""What a device refuses for a reason that is not the range asked for: said once, and once when it is given again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edge.registers import ReadRequest

ADVICE: Final[Mapping[int, str]] = {
    1: "it does not know this function: is the table of these points right in the profile?",
    4: "it failed to read them itself: look at the device; if it never gives them, take them out of the profile",
    5: "it is busy with something long: read it less often",
    6: "it is busy: read it less often, give its profile a pause, look for another master",
    8: "its memory is damaged: look at the device",
}
"""By exception code, what a person can do."""
OTHERWISE: Final = "see the device's manual for this code"
NAMED_MAX: Final = 5


@dataclass(slots=True)
class _Denial:
    """Of one point: the exception, since when (monotonic seconds), whether it was said."""

    code: int
    since: float
    said: bool = False


class Denials:
    """What the devices of a line deny now, by point; as many entries as points are denied.

    Said when a second read running has found it, for one may be a bad moment of the device.
    """

    def __init__(self) -> None:
        self._of: dict[str, dict[str, _Denial]] = {}

    def __contains__(self, device: str) -> bool:
        return device in self._of

    def learn(
        self,
        device: str,
        given: Collection[str],
        denied: Sequence[tuple[ReadRequest, int]],
        now: float,
    ) -> list[str]:
        """What one read gave, and what it was denied with which exception; lines for the log."""
        known = self._of.setdefault(device, {})
        lines = [line for one in denied if (line := _denied(known, device, *one, now))]
        healed = {id: known.pop(id) for id in [*known] if id in given}
        if since := [one.since for one in healed.values() if one.said]:
            names = _names([id for id, one in healed.items() if one.said])
            lines.append(f"device {device} gives {names} again after {now - min(since):.1f} s")
        if not known:
            del self._of[device]
        return lines

    def forget(self, device: str) -> None:
        self._of.pop(device, None)

    def words(self) -> str:
        """For a person; empty if nothing is denied."""
        return "; ".join(
            f"device {device} denies {_names([*known])}" for device, known in self._of.items()
        )


def refusal(device: str, request: ReadRequest, code: int, points: Sequence[str] = ()) -> str:
    """In words; where points are named, with what can be done."""
    where = f"{request.table} {request.address}..{request.last}"
    said = f"{device} refuses {where}: exception {code}"
    return f"{said} ({_names(points)}): {ADVICE.get(code, OTHERWISE)}" if points else said


def _denied(
    known: dict[str, _Denial], device: str, request: ReadRequest, code: int, now: float
) -> str:
    """A line if there is one to be said: of the points that are denied again, and were not said yet."""
    again: list[str] = []
    for point in request.points:
        denial = known.get(point.id)
        if denial is None or denial.code != code:
            known[point.id] = _Denial(code, now)
        elif not denial.said:
            denial.said = True
            again.append(point.id)
    return f"device {refusal(device, request, code, again)}" if again else ""


def _names(points: Sequence[str]) -> str:
    more = len(points) - NAMED_MAX
    named = ", ".join(points[:NAMED_MAX])
    return f"{named} and {more} more" if more > 0 else named
