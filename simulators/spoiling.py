"""What becomes of an answer between the device and whoever asked: other words, other bytes, another pace."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from simulators.faults import Fault
from simulators.modbus_frames import Adu, Framing

DRIP_S = 0.4
FRAGMENT_S = 0.05
NOISE_BYTES = 24
KEPT_MAX = 16
"""Answers that an endpoint holds while it stands still; the oldest go."""

Piece = tuple[float, bytes]
"""Seconds to wait, then bytes to send."""


class HangUp(Exception):
    """The connection is reset instead of an answer."""


@dataclass(slots=True)
class Spoiling:
    """Sends one endpoint's answers as its faults have them.

    It remembers the last answer, over connections too, and keeps those to what was asked while it stood
    still: they are sent before the next one.
    """

    framing: Framing
    _last: Adu | None = field(default=None)
    _kept: deque[Adu] = field(default_factory=lambda: deque(maxlen=KEPT_MAX))
    _noise: int = 0

    def pieces(self, answer: Adu, faults: Sequence[Fault]) -> list[Piece]:
        """What to send for an answer, in order; nothing where nothing comes. Raises `HangUp`."""
        kinds = {fault.kind for fault in faults}
        if "reset" in kinds:
            raise HangUp
        if "stands_still" in kinds:
            self._kept.append(answer)
            return []
        last, self._last = self._last, answer
        if "one_behind" in kinds:
            if last is None:
                return []
            answer = last
        for kind in kinds & OTHER.keys():
            answer = OTHER[kind](answer)
        kept = [(0.0, self.framing.frame(one)) for one in self._kept]
        self._kept.clear()
        return [*kept, *self._sent(self.framing.frame(answer), kinds)]

    def _sent(self, raw: bytes, kinds: set[str]) -> list[Piece]:
        """The bytes of an answer, spoilt."""
        if "garbled" in kinds:
            raw = raw[:-1] + bytes([raw[-1] ^ 0xFF])
        if "noise" in kinds:
            self._noise += 1
            raw = bytes((self._noise * 31 + 89 * n) % 256 for n in range(NOISE_BYTES))
        if "cut_short" in kinds:
            raw = raw[: len(raw) // 2]
        if "drip" in kinds:
            return [(DRIP_S, raw[n : n + 1]) for n in range(len(raw))]
        if "fragments" in kinds:
            return [(FRAGMENT_S, raw[n : n + 3]) for n in range(0, len(raw), 3)]
        return [(0.0, raw)]


def _of_another_unit(answer: Adu) -> Adu:
    return replace(answer, unit=answer.unit % 247 + 1)


def _of_an_older_number(answer: Adu) -> Adu:
    return replace(answer, number=(answer.number - 1) % 65536)


def _of_another_function(answer: Adu) -> Adu:
    return replace(answer, pdu=bytes([answer.pdu[0] ^ 7]) + answer.pdu[1:])


def _of_no_value(answer: Adu) -> Adu:
    return replace(answer, pdu=answer.pdu[:1] + b"\0")


OTHER: Mapping[str, Callable[[Adu], Adu]] = {
    "wrong_unit": _of_another_unit,
    "stale": _of_an_older_number,
    "wrong_function": _of_another_function,
    "too_short": _of_no_value,
}
"""Faults that make it another answer, in a frame that is in order."""
