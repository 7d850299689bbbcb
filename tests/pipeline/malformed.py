"""What every kind of malformed message towards the collector looks like: one row a kind, and what must come of it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge.readings import topic
from tests.unit.collector.feeding import SITE, T0

Row = tuple[str, int, float | None, str]
"""Point, source time (UTC ms), value, quality by name, as it comes to stand in the store."""

AT = T0 + 30_000
"""When every case is sent and received."""
NAN, HUGE = b"NaN", b"1e400"


@dataclass(frozen=True)
class Came:
    """What the collector makes of a case.

    `mark` is how far its lane went on, `said` a part of the reason it is set aside with (empty: it
    is not), `readings` how many readings are set aside alone, `counted` the name under which it is
    counted, `rebirth` whether a birth is asked for, `missing` numbers that will never come.
    """

    mark: int = 0
    said: str = ""
    readings: int = 0
    counted: str = ""
    rebirth: bool = False
    missing: int = 0
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Case:
    """One kind: what is sent, on which topics, and what must come of it."""

    name: str
    sent: tuple[tuple[str, bytes], ...]
    came: Came
    lane: str = "data"


def at(what: str, agent: str = "a1") -> str:
    return topic(SITE, agent, what)


def batch(**members: Any) -> dict[str, Any]:
    """The right batch that a case spoils: number 2 of its lane, one reading of `pump/pressure`."""
    right = {"e": "E1", "s": 2, "o": 1, "t": AT, "n": AT, "i": [1], "d": [0], "v": [7.5], "q": [0]}
    return right | members


def raw(message: object) -> bytes:
    """As JSON. A value in bytes stands in it as it is: what no encoder would write (NaN, 1e400)."""
    if isinstance(message, bytes):
        return message
    if isinstance(message, dict):
        return b"{%s}" % b",".join(b"%s:%s" % (raw(k), raw(v)) for k, v in message.items())
    if isinstance(message, list):
        return b"[%s]" % b",".join(map(raw, message))
    return json.dumps(message).encode()


def without(message: dict[str, Any], member: str) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != member}


def kept(
    value: float | None = 7.5, quality: str = "good", time: int = AT, point: str = "pump/pressure",
    **more: Any,
) -> Came:  # fmt: skip
    return Came(1, rows=((point, time, value, quality),), **more)


def one(name: str, message: object, came: Came, what: str = "data") -> Case:
    lane = what if what in ("event", "data", "backfill") else "data"
    return Case(name, ((at(what), raw(message)),), came, lane)


RIGHT = raw(batch())
NUMBERED = "set aside and its number committed"

# --- what is no JSON, or not what JSON should hold: the number cannot be read, so it is not committed

_CUT = [1, 2, 7, 11, 18, 30, len(RIGHT) // 2, len(RIGHT) - 12, len(RIGHT) - 2, len(RIGHT) - 1]
_UNREADABLE: dict[str, bytes] = {
    **{f"cut after byte {n}": RIGHT[:n] for n in _CUT},
    "no bytes": b"",
    "a blank": b" ",
    "words": b"hello",
    "one zero byte": b"\x00",
    "binary": bytes(range(256)) * 8,
    "gzip": b"\x1f\x8b\x08\x00" + b"\x00" * 30,
    "message pack": b"\x89\xa1e\xa2E1\xa1s\x02",
    "a byte order mark": b"\xef\xbb\xbf" + RIGHT,
    "utf-16": RIGHT.decode().encode("utf-16"),
    "null": b"null",
    "true": b"true",
    "a number": b"5",
    "a text": b'"E1"',
    "a list": b"[" + RIGHT + b"]",
    "an empty object": b"{}",
    "trailing words": RIGHT + b" and more",
    "two batches": RIGHT + RIGHT,
    "a trailing comma": RIGHT[:-1] + b",}",
    "a comment": RIGHT[:-1] + b"/* ok */}",
    "single quotes": RIGHT.replace(b'"', b"'"),
    "names without quotes": RIGHT.replace(b'"s"', b"s"),
    "a leading zero": RIGHT.replace(b'"s":2', b'"s":02'),
    "a plus sign": RIGHT.replace(b'"s":2', b'"s":+2'),
    "hexadecimal": RIGHT.replace(b'"s":2', b'"s":0x2'),
    "a line feed in a text": RIGHT.replace(b'"E1"', b'"E\n1"'),
    "bad utf-8 in the epoch": RIGHT.replace(b'"E1"', b'"E\xff1"'),
    "overlong utf-8": RIGHT.replace(b'"E1"', b'"\xc0\xaf"'),
    "a lone surrogate": RIGHT.replace(b'"E1"', b'"\\ud800"'),
    "an escape that is none": RIGHT.replace(b'"E1"', b'"\\x41"'),
    "NaN for a value": raw(batch(v=[NAN])),
    "Infinity for a value": raw(batch(v=[b"Infinity"])),
    "minus Infinity for a value": raw(batch(v=[b"-Infinity"])),
    "NaN for a time": raw(batch(t=NAN)),
    "nested deeply": b"[" * 100_000 + b"]" * 100_000,
    "nested deeply in a member": raw(batch(x=b"[" * 100_000 + b"]" * 100_000)),
    "1 MB of one letter": b"x" * (1 << 20),
    "1 MB of open brackets": b"[" * (1 << 20),
    "more than 4 MiB": b" " * (4 << 20) + RIGHT[:20],
}

# --- each member missing or of a wrong type

_ODD: dict[str, object] = {
    "null": None, "true": True, "a text": "1", "a list in a list": [[1]], "an object": {"a": 1},
    "a fraction": 1.5, "beyond 64 bits": b"1" + b"0" * 400, "1e400": HUGE,
}  # fmt: skip


def _members() -> Iterator[Case]:
    for member in batch():
        unread = member in "es"
        came = Came(0 if unread else 1, "")
        for odd in ["missing", *_ODD]:
            if member == "e" and odd == "a text":
                continue  # a text is what an epoch is: see the epochs
            message = without(batch(), member) if odd == "missing" else batch(**{member: _ODD[odd]})
            yield one(f"{member}: {odd}", message, _said(came, _where(member, odd)))


def _said(came: Came, said: str) -> Came:
    return Came(came.mark, said, counted="aside")


def _where(member: str, odd: str) -> str:
    """The reason names the member, as far as the document is JSON at all."""
    return f"`{member}`" if odd == "missing" else f"`$.{member}"


# --- entries of the columns that are no entries

_ENTRIES: dict[str, dict[str, object]] = {
    "i": {"null": None, "true": True, "a text": "1", "a fraction": 1.5, "-1": -1, "2^31": 2**31, "1e400": HUGE},
    "d": {"null": None, "true": True, "a text": "1", "a fraction": 1.5, "beyond 2^53": 2**53 + 1, "far below": -(2**53) - 1},
    "v": {"true": True, "a text": "7.5", "a list": [7.5], "an object": {}, "1e400": HUGE, "400 digits": b"9" * 400},
    "q": {"null": None, "true": True, "a text": "good", "a fraction": 0.5, "-1": -1, "128": 128, "256": 256},
}  # fmt: skip


def _entries() -> Iterator[Case]:
    for member, odd in _ENTRIES.items():
        for name, value in odd.items():
            came = Came(1, f"`$.{member}[", counted="aside")
            yield one(f"an entry of {member} is {name}", batch(**{member: [value]}), came)


_COLUMNS = "columns of "
_UNEQUAL: dict[str, dict[str, object]] = {
    "no index": {"i": []}, "no offset": {"d": []}, "no value": {"v": []}, "no quality": {"q": []},
    "two indexes for one reading": {"i": [0, 1]}, "two values for one reading": {"v": [1, 2]},
    "300 000 offsets": {"d": b"[" + b"0," * 299_999 + b"0]"},
}  # fmt: skip


def _structures() -> Iterator[Case]:
    for name, payload in _UNREADABLE.items():
        yield one(name, payload, Came(0, " ", counted="aside"))
    yield from _members()
    yield from _entries()
    for name, members in _UNEQUAL.items():
        yield one(name, batch(**members), Came(1, _COLUMNS, counted="aside"))
    million = b"[" + b"0," * 999_999 + b"0]"
    long = raw(batch(i=million, d=million, v=million, q=million))
    yield one("columns of 10^6", long, Came(1, "bytes are more than", counted="aside"))
    thrice = ((at("data"), RIGHT[:-1]),) * 3
    yield Case("the same half batch three times", thrice, Came(1, "truncated", counted="aside"))
    for lane in ("event", "backfill"):
        yield one(f"a broken one on {lane}", batch(q=[]), Came(1, _COLUMNS, counted="aside"), lane)


# --- sound structure, wrong numbers

_SEQUENCES = [
    one("number 0", batch(s=0), Came(0, "sequence 0", counted="aside")),
    one("a negative number", batch(s=-2), Came(0, "`$.s`", counted="aside")),
    one("number 2^53", batch(s=2**53), Came(0, "sequence", counted="aside")),
    one("a number that was had", batch(s=1), Came(counted="repeat")),
    one("a number that was had, broken", batch(s=1, q=[]), Came(counted="repeat")),
    one("a number behind a hole", batch(s=4), Came(counted="gap")),
    one("a number far ahead", batch(s=2**53 - 1), Came(counted="gap")),
    one("a number far ahead, broken", batch(s=2**53 - 1, o=2**53 - 1, q=[]), Came(counted="gap")),
    one("o above s", batch(o=3), Came(1, "oldest 3", counted="aside")),
    one("o below 0", batch(o=-1), Came(1, "`$.o`", counted="aside")),
    one("numbers that never come", batch(s=5, o=5), Came(4, counted="missing", missing=3, rows=kept().rows)),
    one("part of a hole never comes", batch(s=7, o=5), Came(3, counted="missing", missing=3)),
    one("10^6 numbers that never come", batch(s=10**6, o=10**6), Came(10**6 - 1, missing=10**6 - 2, rows=kept().rows)),
]  # fmt: skip

_EPOCHS = [
    one(f"an epoch that {name}", batch(e=epoch), Came(counted="unknown_epoch", rebirth=True))
    for name, epoch in {
        "nobody announced": "E9", "is empty": "", "is in small letters": "e1", "has a nul": "E1\0",
        "is 100 000 letters": "E" * 100_000, "climbs": "../E1", "is another agent's": "F1",
    }.items()
]  # fmt: skip
_EPOCHS += [
    one("an unknown epoch, broken", batch(e="E9", q=[]), Came(0, _COLUMNS, rebirth=True)),
]

_ASK = Came(counted="unknown_index", rebirth=True)
_INDEXES = [
    one("an index past the table", batch(i=[3]), _ASK),
    one("an index far past the table", batch(i=[2**31 - 1]), _ASK),
    one("one index of two past the table", batch(i=[1, 9], d=[0, 0], v=[1, 2], q=[0, 0]), _ASK),
    one("an index past the table, far ahead", batch(i=[3], s=9), _ASK),
    one("a retired index", batch(i=[2]), Came(1, "retired_index", 1)),
    one(
        "a retired index beside a live one",
        batch(i=[2, 1], d=[0, 0], v=[1, 7.5], q=[0, 0]),
        Came(1, "retired_index", 1, rows=kept().rows),
    ),
]

_VALUES = [
    one("null and good", batch(v=[None]), Came(1, "not_finite", 1)),
    one("null and uncertain", batch(v=[None], q=[1]), Came(1, "not_finite", 1)),
    one("a value beside a bad quality", batch(q=[69]), kept(None, "sensor_fault")),
    one("a quality without a name, uncertain", batch(q=[50]), kept(quality="50")),
    one("a quality without a name, bad", batch(q=[127]), kept(None, "127")),
    one("the largest float", batch(v=[1.7976931348623157e308]), kept(1.7976931348623157e308)),
    one("smaller than any float", batch(v=[b"1e-400"]), kept(0.0)),
    one("minus zero", batch(v=[-0.0]), kept(0.0)),
    one("an integer beyond 2^53", batch(v=[2**53 + 1]), kept(float(2**53))),
    one("no readings at all", batch(i=[], d=[], v=[], q=[]), Came(1)),
]

_YEAR_2000, _DAY = 946_684_800_000, 86_400_000
_2099 = 4_070_908_800_000
_SUSPECT = kept(quality="clock_suspect")
_TIMES = [
    one("a reading of 1970", batch(t=0), _SUSPECT),
    one("a reading before 1970", batch(t=-1), _SUSPECT),
    one("a reading of the last moment of 1999", batch(t=_YEAR_2000 - 1), _SUSPECT),
    one("a reading of the first moment of 2000", batch(t=_YEAR_2000), kept(time=_YEAR_2000)),
    one("a reading of 2099", batch(t=_2099), _SUSPECT),
    one("a reading a day ahead", batch(t=AT + _DAY), kept(time=AT + _DAY)),
    one("a reading more than a day ahead", batch(t=AT + _DAY + 1), _SUSPECT),
    one("a reading of 2^53", batch(t=2**53), _SUSPECT),
    one("a reading of -2^53", batch(t=-(2**53)), _SUSPECT),
    one("a reading of -2^54 by its offset", batch(t=-(2**53), d=[-(2**53)]), _SUSPECT),
    one("an offset back to 1970", batch(d=[-AT]), _SUSPECT),
    one("an offset of 2^53", batch(d=[2**53]), _SUSPECT),
    one("a base beyond 2^53", batch(t=2**53 + 1), Came(1, "`$.t`", counted="aside")),
    one("times in seconds", batch(t=AT // 1000), _SUSPECT),
    one("times in microseconds", batch(t=AT * 1000), _SUSPECT),
    one("one reading of 1970 beside a right one", batch(i=[1, 1], d=[-AT, -5], v=[1, 7.5], q=[0, 0]),
        Came(1, rows=(("pump/pressure", AT, 1.0, "clock_suspect"), ("pump/pressure", AT - 5, 7.5, "good")))),
    one("a bad reading of 1970", batch(t=0, v=[None], q=[65]), kept(None, "no_answer")),
    one("sent in 1970", batch(n=0), kept()),
    one("sent in 2099", batch(n=_2099), kept()),
    one("sent in 2^53", batch(n=2**53), kept()),
    one("sent in -2^53", batch(n=-(2**53)), kept()),
    one("sent beyond 2^53", batch(n=2**53 + 1), Came(1, "`$.n`", counted="aside")),
    one("sent and read in 1970", batch(t=0, n=0), _SUSPECT),
    one("sent and read in 2099", batch(t=_2099, n=_2099), _SUSPECT),
]  # fmt: skip

# --- odd, and right all the same: what a receiver does not know it ignores

_BOTH = b'{"s":9,' + RIGHT[1:]
_ODD_BUT_RIGHT = [
    one("a member that nobody knows", batch(x={"y": [1, None, "z"]}), kept()),
    one("a member with 1 MB of text", batch(x="x" * (1 << 20)), kept()),
    one("blanks and line feeds between", RIGHT.replace(b",", b" ,\r\n\t"), kept()),
    one("1 MB of blanks before", b" " * (1 << 20) + RIGHT, kept()),
    one("a member twice: the last counts", _BOTH, kept()),
    one("names escaped", RIGHT.replace(b'"e"', b'"\\u0065"'), kept()),
    one("members in another order", dict(reversed(batch().items())), kept()),
    one("a member in capitals beside", batch(S=99), kept()),
    one("exponents", raw(batch(v=[b"75e-1"])), kept()),
    one("100 000 readings of one instant", batch(i=[1] * 100_000, d=[0] * 100_000, v=[7.5] * 100_000, q=[0] * 100_000),
        Came(1, rows=kept().rows * 100_000)),
]  # fmt: skip

BATCHES: Sequence[Case] = [
    *_structures(), *_SEQUENCES, *_EPOCHS, *_INDEXES, *_VALUES, *_TIMES, *_ODD_BUT_RIGHT,
]  # fmt: skip
