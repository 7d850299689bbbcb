"""Malformed births, states, replies and topics towards the collector, one row a kind."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from edge.readings import topic
from tests.pipeline.malformed import (  # fmt: skip
    AT,
    HUGE,
    NAN,
    RIGHT,
    Came,
    Case,
    at,
    batch,
    kept,
    one,
    raw,
    without,
)
from tests.unit.collector.feeding import SITE

ASIDE = Came(0, " ", counted="aside")


def row(index: int, point: str, **members: Any) -> dict[str, Any]:
    right = {
        "index": index, "point": point, "unit": "bar", "kind": "measurement", "decimals": 2,
        "lane": "data", "period_s": 10, "longest_silence_s": 60, "retired": index == 2,
    }  # fmt: skip
    return right | members


ROWS = [row(0, "pump/flow"), row(1, "pump/pressure"), row(2, "pump/old")]


def birth(**members: Any) -> dict[str, Any]:
    """The right birth that a case spoils: as the agent's first, of its second connection."""
    right = {
        "contract": "1.0", "connection": 2, "epoch": "E1", "version": "1", "plant_hash": "hash",
        "points": ROWS,
    }  # fmt: skip
    return right | members


def state(**members: Any) -> dict[str, Any]:
    right = {"state": "ready", "connection": 1, "epoch": "E1", "now": AT, "backlog": 0}
    return right | members


def aside(said: str) -> Came:
    return Came(0, said, counted="aside")


def fourth(**members: Any) -> dict[str, Any]:
    """A birth whose table grew by one row, which the case spoils."""
    return birth(points=[*ROWS, row(3, "pump/new") | members])


# --- what is no JSON, the same for all three

BIRTH, STATE, REPLY = raw(birth()), raw(state()), raw({"id": "r-1", "outcome": "done"})


def _no_json() -> Iterator[Case]:
    for what, right in {"birth": BIRTH, "state": STATE, "reply": REPLY}.items():
        spoiled = {
            "of no bytes": b"", "cut after its first byte": right[:1],
            "cut in the middle": right[: len(right) // 2], "cut before its end": right[:-1],
            "of words": b"ready", "that is binary": b"\x00\xff" * 40, "of bad utf-8": b'{"epoch":"\xff' + right[1:],
            "with trailing words": right + b"ready", "that is a list": b"[" + right + b"]", "that is null": b"null",
            "nested deeply": b'{"x":' + b"[" * 100_000, "of more than 4 MiB": b" " * (4 << 20) + right,
        }  # fmt: skip
        for name, payload in spoiled.items():
            yield one(f"a {what} {name}", payload, ASIDE, what)


# --- each member missing or of a wrong type


_TYPES: dict[str, object] = {"null": None, "true": True, "a list of lists": [[1]]}
_OPTIONAL = ("retired", "backlog")


def _spoiled(what: str, right: dict[str, Any], within: Callable[[Any], Any]) -> Iterator[Case]:
    """Each member left out and of each wrong type; the reason names it."""
    topic = "birth" if what == "point" else what
    for member in right:
        if member not in _OPTIONAL:
            gone = within(without(right, member))
            yield one(f"a {what} without {member}", gone, aside(f"`{member}`"), topic)
        for name, odd in _TYPES.items():
            if (member, name) != ("retired", "true"):
                wrong = within(right | {member: odd})
                yield one(f"a {what} whose {member} is {name}", wrong, aside(member), topic)


def _members() -> Iterator[Case]:
    yield from _spoiled("birth", birth(), lambda message: message)
    yield from _spoiled("point", row(3, "pump/new"), lambda last: birth(points=[*ROWS, last]))
    yield from _spoiled("state", state(), lambda message: message)
    yield from _spoiled("reply", {"id": "r-1", "outcome": "done"}, lambda message: message)


# --- births that cannot be right

_ID = "the point's id is not asset/point"
_BIRTHS: dict[str, tuple[object, str]] = {
    "of another contract": (birth(contract="2.0"), "contract 2.0"),
    "of no contract": (birth(contract=""), "contract"),
    "of a contract in words": (birth(contract="latest"), "contract latest"),
    "of a contract that is a number": (birth(contract=1.0), "`$.contract`"),
    "of an epoch that is empty": (birth(epoch=""), "the epoch"),
    "of an epoch of 65 letters": (birth(epoch="E" * 65), "the epoch"),
    "of an epoch that climbs": (birth(epoch="../E2"), "the epoch"),
    "of an epoch with a line feed": (birth(epoch="E2\n"), "the epoch"),
    "of an epoch with a nul": (birth(epoch="E2\0"), "the epoch"),
    "of a connection below 0": (birth(connection=-1), "connection -1"),
    "of connection 2^53": (birth(connection=2**53), "connection"),
    "of connection 10^40": (birth(connection=10**40), "connection"),
    "of a connection that is a fraction": (birth(connection=1.5), "`$.connection`"),
    "of facts that are numbers": (birth(facts={"serial": 5}), "`$.facts"),
    "of facts that are a list": (birth(facts=["A"]), "`$.facts`"),
    "of hashes that are null": (birth(profile_hashes=None), "`$.profile_hashes`"),
    "with NaN for a period": (fourth(period_s=NAN), "malformed"),
    "with a period of 1e400": (fourth(period_s=HUGE), "period_s"),
    "of no points, where there were some": (birth(points=[]), "shrank from 3 to 0"),
    "of one point less": (birth(points=ROWS[:2]), "shrank from 3 to 2"),
    "of points that are a table": (birth(points={"0": ROWS[0]}), "`$.points`"),
    "of points that are null": (birth(points=[*ROWS, None]), "`$.points[3]`"),
    "of points in another order": (birth(points=[ROWS[1], ROWS[0], ROWS[2]]), "not its place"),
    "of an index twice": (birth(points=[*ROWS, row(2, "pump/new")]), "not its place"),
    "of an index left out": (birth(points=[*ROWS, row(4, "pump/new")]), "not its place"),
    "of an index below 0": (birth(points=[*ROWS, row(-1, "pump/new")]), "not its place"),
    "of an index of 10^30": (birth(points=[*ROWS, row(10**30, "pump/new")]), "not its place"),
    "of an index that is a fraction": (fourth(index=3.5), "index"),
    "that gives an index another point": (birth(points=[row(0, "pump/flow"), row(1, "pump/x"), ROWS[2]]), "index 1 meant"),
    "that gives an index another unit": (birth(points=[row(0, "pump/flow", unit="Pa"), *ROWS[1:]]), "index 0 meant"),
    "that gives an index another kind": (birth(points=[row(0, "pump/flow", kind="state"), *ROWS[1:]]), "index 0 meant"),
    "that gives an index other decimals": (birth(points=[row(0, "pump/flow", decimals=9), *ROWS[1:]]), "index 0 meant"),
    "of a point twice": (birth(points=[*ROWS, row(3, "pump/flow")]), "stands twice"),
    "of a point without asset": (fourth(point="flow"), _ID),
    "of a point without a name": (fourth(point=""), _ID),
    "of a point in capitals": (fourth(point="Pump/Flow"), _ID),
    "of a point that climbs": (fourth(point="../../etc/passwd"), _ID),
    "of a point with a blank": (fourth(point="pump/new flow"), _ID),
    "of a point with a line feed": (fourth(point="pump/new\n"), _ID),
    "of a point with a nul": (fourth(point="pump/new\0"), _ID),
    "of a point in Chinese": (fourth(point="泵/流量"), _ID),
    "of a point with a wildcard": (fourth(point="pump/+"), _ID),
    "of a point of 201 letters": (fourth(point="a/" + "b" * 199), _ID),
    "of a kind that is none": (fourth(kind="flags"), "kind 'flags'"),
    "of a unit of 33 letters": (fourth(unit="x" * 33), "the unit"),
    "of a unit with a line feed": (fourth(unit="bar\nx=1"), "the unit"),
    "of a unit with a nul": (fourth(unit="bar\0"), "the unit"),
}  # fmt: skip

# --- states that cannot be right

_ASK = Came(rebirth=True, counted="state")
_STATES: dict[str, tuple[object, Came]] = {
    "in a word that is none": (state(state="sleeping"), aside("`$.state`")),
    "in capitals": (state(state="READY"), aside("`$.state`")),
    "of an unknown epoch": (state(epoch="E9"), _ASK),
    "of an empty epoch": (state(epoch=""), _ASK),
    "of a connection whose birth never came": (state(connection=9), _ASK),
    "of a connection below 0": (state(connection=-1), aside("`$.connection`")),
    "of connection 10^30": (state(connection=10**30), aside("`$.connection`")),
    "of a time of 10^30": (state(now=10**30), aside("`$.now`")),
    "of a time of -2^60": (state(now=-(2**60)), aside("`$.now`")),
    "of a time in words": (state(now="2025-11-21T04:40:00Z"), aside("`$.now`")),
    "of a time that is a fraction": (state(now=1.5), aside("`$.now`")),
    "of a time that is NaN": (state(now=NAN), aside("malformed")),
    "of a time of 1e400": (state(now=HUGE), aside("`$.now`")),
    "of 1970": (state(now=0), Came(counted="state")),
    "of before 1970": (state(now=-1), Came(counted="state")),
    "of 2099": (state(now=4_070_908_800_000), Came(counted="state")),
    "of 2^53": (state(now=2**53), Came(counted="state")),
    "of a backlog below 0": (state(backlog=-1), aside("`$.backlog`")),
    "of a backlog of 10^30": (state(backlog=10**30), aside("`$.backlog`")),
    "of an oldest in words": (state(oldest_unsent="long ago"), aside("`$.oldest_unsent`")),
    "of an oldest of 10^30": (state(oldest_unsent=10**30), aside("`$.oldest_unsent`")),
    "of a will that is over": (state(state="lost", connection=0), Came(counted="state")),
}

# --- topics that nobody may speak on: whatever is said there is set aside

_ALIEN = "nobody of the plants publishes"
_TOPICS = {
    "an unknown site": topic("hillside", "a1", "data"),
    "an unknown agent": topic(SITE, "a9", "data"),
    "another agent's name in capitals": topic(SITE, "A1", "data"),
    "an agent with a blank": topic(SITE, "a1 ", "data"),
    "an agent that climbs": topic(SITE, "..", "data"),
    "a wildcard for the agent": topic(SITE, "+", "data"),
    "an empty site": topic("", "a1", "data"),
    "an empty agent": topic(SITE, "", "data"),
    "a level less": f"steward/v1/{SITE}/data",
    "a level more": at("data") + "/1",
    "a slash before": "/" + at("data"),
    "another version": at("data").replace("v1", "v2"),
    "another prefix": at("data").replace("steward", "spBv1.0"),
    "the broker's own": "$SYS/broker/uptime",
    "a site with a nul": topic(SITE + "\0", "a1", "data"),
    "of 60 000 letters": topic(SITE, "a" * 60_000, "data"),
}
_WORDS = {
    "a word that is none": "shout", "no word": "", "a lane in capitals": "DATA",
    "the collector's marks": "committed", "the collector's requests": "request",
}  # fmt: skip

# --- odd, and right all the same

_GROWN = birth(points=[*ROWS, row(3, "pump/pressure2")])
_RIGHT = [
    one("a birth of a later minor contract with members nobody knows", birth(contract="1.9", x=[1]), Came(), "birth"),
    one("the same birth again", birth(), Came(), "birth"),
    one("a lane, a period and decimals that make no sense",
        fourth(lane="sideways", period_s=-1, longest_silence_s=0, decimals=10**30), Came(), "birth"),
    Case("a point that the plant does not know", ((at("birth"), raw(fourth())), (at("data"), raw(batch(i=[3])))),
         kept(point="pump/new")),
    Case("a point of another agent", ((at("birth"), raw(birth(points=[*ROWS, row(3, "fan/speed")]))),
         (at("data"), raw(batch(i=[3])))), Came(1, "not_its_point", 1)),
    Case("an index that a birth explains after it was asked for",
         ((at("data"), raw(batch(i=[3]))), (at("birth"), raw(_GROWN)), (at("data"), raw(batch(i=[3])))),
         kept(point="pump/pressure2", rebirth=True, counted="unknown_index")),
    Case("an index that no birth explains",
         ((at("data"), raw(batch(i=[3]))), *((at("birth"), BIRTH), (at("data"), raw(batch(i=[3])))) * 3),
         Came(1, "index 3 is not among the 3", rebirth=True, counted="unknown_index")),
]  # fmt: skip


def _topics() -> Iterator[Case]:
    for name, where in _TOPICS.items():
        yield Case(f"on a topic of {name}", ((where, RIGHT),), aside(_ALIEN))
    for name, what in _WORDS.items():
        yield Case(
            f"on a topic that ends in {name}", ((at(what), RIGHT),), aside("agents do not publish")
        )
    yield Case("a birth for a batch", ((at("data"), BIRTH),), ASIDE)
    yield Case("a batch for a birth", ((at("birth"), RIGHT),), aside("`contract`"))
    yield Case("a batch for a state", ((at("state"), RIGHT),), aside("`state`"))
    yield Case("a batch for a reply", ((at("reply"), RIGHT),), aside("`id`"))
    yield Case("a state for a batch", ((at("data"), STATE),), ASIDE)


OTHERS: Sequence[Case] = [
    *_no_json(),
    *_members(),
    *(one(f"a birth {name}", said, aside(why), "birth") for name, (said, why) in _BIRTHS.items()),
    *(one(f"a state {name}", said, came, "state") for name, (said, came) in _STATES.items()),
    *_topics(),
    *_RIGHT,
]
