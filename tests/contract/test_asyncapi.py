"""docs/asyncapi.yaml says what edge.readings and the running site say: neither can change alone."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import pytest

from collector.adapters import mqtt_frames
from commands.broker_topics import DOWN, UP
from commands.virtual import VirtualSite
from config.clock import VirtualClock, VirtualLoop, run_virtual
from config.load import load_plant
from edge import readings
from edge.mqtt_publisher import KEEP_ALIVE_S, PahoConnection
from edge.readings import BAD, CONTRACT, LANES, QUALITIES, decode, decode_batch, parse_topic, topic
from tests.composing import ROOT, read_yaml

DOC = read_yaml("docs/asyncapi.yaml")
SCHEMAS = DOC["components"]["schemas"]
KINDS: dict[str, type[msgspec.Struct]] = {
    "birth": readings.Birth,
    **dict.fromkeys(LANES, readings.Batch),
    "state": readings.State,
    "committed": readings.Committed,
    "request": readings.Request,
    "reply": readings.Reply,
}
REFERENCE = "#/components/schemas/{name}"
START = 1_763_700_000_000


def at(reference: str) -> Any:
    """What a `$ref` of the page points to."""
    found = DOC
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def whole(said: Any) -> Any:
    """The same with its references followed."""
    while isinstance(said, dict) and set(said) == {"$ref"}:
        said = at(said["$ref"])
    return said


def references(said: Any) -> Iterator[str]:
    """Every `$ref` below."""
    if isinstance(said, dict):
        if "$ref" in said:
            yield said["$ref"]
        for below in said.values():
            yield from references(below)
    elif isinstance(said, list):
        for below in said:
            yield from references(below)


def schema_of(what: str) -> Any:
    """The schema of what a channel carries."""
    (message,) = DOC["channels"][what]["messages"].values()
    return whole(whole(message)["payload"])


def examples() -> Iterator[tuple[str, Any]]:
    """Channel and payload of every example."""
    for what, channel in DOC["channels"].items():
        (message,) = channel["messages"].values()
        for example in whole(message)["examples"]:
            yield what, example["payload"]


TYPES = {"string": str, "integer": int, "number": int | float, "boolean": bool, "null": type(None), "array": list, "object": dict}  # fmt: skip


def fits(value: Any, schema: Any) -> bool:
    """Whether a value is of the form that the page gives it: as far as the page uses JSON Schema."""
    schema = whole(schema)
    if "anyOf" in schema:
        return any(fits(value, one) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    if not isinstance(value, TYPES[schema["type"]]):
        return False
    if isinstance(value, dict):
        return _object_fits(value, schema)
    if isinstance(value, list):
        return all(fits(one, schema["items"]) for one in value)
    bounded = isinstance(value, int | float) and not isinstance(value, bool)
    return not bounded or schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)  # fmt: skip


def _object_fits(value: Mapping[str, Any], schema: Any) -> bool:
    properties = schema.get("properties", {})
    other = schema.get("additionalProperties", {"anyOf": []})
    named = all(fits(one, properties.get(name, other)) for name, one in value.items())
    return named and set(schema.get("required", [])) <= set(value)


# --- the page against edge.readings --------------------------------------------------------------------


def test_the_page_is_whole() -> None:
    assert DOC["asyncapi"] == "3.0.0"
    assert DOC["info"]["version"] == CONTRACT
    assert all(at(reference) for reference in references(DOC))
    used = {reference.split("/")[-1] for reference in references(DOC)}
    for group in DOC["components"].values():
        assert set(group) <= used
    spoken = {operation["channel"]["$ref"].split("/")[-1] for operation in DOC["operations"].values()}  # fmt: skip
    assert spoken == set(DOC["channels"])


def test_channels_are_the_topics_of_the_contract() -> None:
    assert set(DOC["channels"]) == set(KINDS)
    for what, channel in DOC["channels"].items():
        assert channel["address"] == topic("{site}", "{agent}", what)
        assert set(channel["parameters"]) == {"site", "agent"}
        said = parse_topic(channel["address"])
        assert said is not None
        assert said.what == what


def test_the_agent_sends_what_it_may_send_and_hears_what_it_may_hear() -> None:
    sides = defaultdict(set)
    for operation in DOC["operations"].values():
        sides[operation["action"]].add(operation["channel"]["$ref"].split("/")[-1])
    assert sides == {"send": set(UP), "receive": set(DOWN)}


def test_qualities_have_the_numbers_and_names_of_the_contract() -> None:
    names = SCHEMAS["Quality"]["x-names"]
    assert names == {code: name for name, code in QUALITIES.items()}
    assert f"1 to {BAD - 1} uncertain" in SCHEMAS["Quality"]["description"]


WRITTEN, MADE = SCHEMAS, msgspec.json.schema_components(set(KINDS.values()), ref_template=REFERENCE)[1]  # fmt: skip


def test_every_form_is_there_and_no_other() -> None:
    assert set(WRITTEN) - {"Quality"} == set(MADE)


@pytest.mark.parametrize("name", sorted(MADE))
def test_members_are_those_that_are_decoded(name: str) -> None:
    """A bound may be written tighter than the form has it: then the decoder checks it apart."""
    written, made = dict(facts(WRITTEN[name])), dict(facts(MADE[name]))
    bounds = {place for place in made if is_bound(place)}
    assert {place for place in written if place in made or not is_bound(place)} == set(made)
    assert {k: written[k] for k in made.keys() - bounds} == {k: made[k] for k in made.keys() - bounds}  # fmt: skip
    for place in bounds:
        tighter = min if place.endswith("maximum") else max
        assert tighter(written[place], made[place]) == written[place], place


def is_bound(place: str) -> bool:
    return place.endswith(("minimum", "maximum"))


def facts(schema: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Everything that a schema demands, each with its place; forms that both sides name stay names."""
    if schema.get("$ref", "").split("/")[-1] in MADE:
        yield f"{where} is", schema["$ref"]
        return
    for word, value in whole(schema).items():
        if word not in ("title", "description", "x-names", *BELOW):
            yield f"{where} {word}", value
        for name, below in BELOW.get(word, lambda _: {})(value).items():
            yield from facts(below, f"{where}{name}")


BELOW: dict[str, Callable[[Any], dict[str, Any]]] = {
    "properties": lambda value: {f".{name}": below for name, below in value.items()},
    "anyOf": lambda value: {f"|{number}": below for number, below in enumerate(value)},
    "items": lambda value: {"[]": value},
    "additionalProperties": lambda value: {"{}": value},
}
"""What holds schemas of its own: their places, and the schemas."""


# --- its examples --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "payload"), list(examples()))
def test_examples_fit_the_page_and_are_decoded(what: str, payload: Any) -> None:
    assert fits(payload, schema_of(what))
    raw = msgspec.json.encode(payload)
    decoded = decode_batch(raw) if what in LANES else decode(raw, KINDS[what])
    assert payload.items() <= msgspec.to_builtins(decoded).items() or what == "birth"
    if isinstance(decoded, readings.Batch):
        assert all((v is None) == (q >= BAD) for v, q in zip(decoded.v, decoded.q, strict=True))


@pytest.mark.parametrize(
    ("member", "wrong"), [("s", 0), ("s", 2**53), ("o", -1), ("i", [-1]), ("i", [2**31]), ("q", [128]), ("q", [-1]), ("t", 2**53 + 1), ("e", None)]
)  # fmt: skip
def test_what_the_page_forbids_is_refused(member: str, wrong: Any) -> None:
    payload = {"e": "x", "s": 1, "o": 1, "t": 0, "n": 0, "i": [0], "d": [0], "v": [1.5], "q": [0]}
    assert fits(payload, schema_of("data"))
    decode_batch(msgspec.json.encode(payload))
    payload[member] = wrong
    assert not fits(payload, schema_of("data"))
    with pytest.raises(readings.Malformed):
        decode_batch(msgspec.json.encode(payload))


# --- the page against what runs ------------------------------------------------------------------------


class Overheard:
    """Everything that went over the bus of a site: channel, payload, and whether it is kept."""

    def __init__(self, site: VirtualSite, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[tuple[str, bytes, bool]] = []
        publish = site.bus.publish

        def overhear(name: str, payload: bytes, *, retain: bool) -> None:
            parts = parse_topic(name)
            assert parts is not None, name
            self.said.append((parts.what, payload, retain))
            publish(name, payload, retain=retain)

        monkeypatch.setattr(site.bus, "publish", overhear)


async def minutes_of_a_site(loop: VirtualLoop, monkeypatch: pytest.MonkeyPatch) -> Overheard:
    """Riverside speaks, loses a link for two minutes, is asked for its birth, restarts."""
    site = VirtualSite(load_plant(ROOT / "config/plants/riverside"), VirtualClock(loop, START), 3)
    heard = Overheard(site, monkeypatch)
    async with site.running():
        await site._sleep(30)
        site.cut("edge-a")
        await site._sleep(150)
        site.mend("edge-a")
        await site._sleep(60)
        strange = {"e": "strange", "s": 1, "o": 1, "t": START, "n": START, "i": [0], "d": [0], "v": [1.0], "q": [0]}  # fmt: skip
        name = topic("riverside", "edge-b", "data")
        site.bus.publish(name, msgspec.json.encode(strange), retain=False)
        await site._sleep(10)
        await site.restart_agent("edge-b")
        await site._sleep(20)
    return heard


@pytest.mark.usefixtures("unmeasured")
def test_a_running_site_says_what_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = VirtualLoop()
    found: list[Overheard] = []

    async def run() -> None:
        found.append(await minutes_of_a_site(loop, monkeypatch))

    run_virtual(run(), loop=loop)
    said = found[0].said
    assert {what for what, _, _ in said} == set(KINDS)
    kept = {operation["channel"]["$ref"].split("/")[-1]: operation["bindings"]["mqtt"]["retain"] for operation in DOC["operations"].values()}  # fmt: skip
    for what, payload, retain in said:
        assert retain is kept[what], what
        assert fits(msgspec.json.decode(payload), schema_of(what)), payload[:200]
    states = {decode(p, readings.State).state for what, p, _ in said if what == "state"}
    assert states == {"ready", "lost", "stopped"}


class Published:
    """Takes the place of paho's client: what it is asked to publish."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def publish(self, name: str, payload: bytes, **how: Any) -> None:
        self.asked.append({"topic": name, **how})


async def test_both_sides_publish_with_the_quality_of_service_of_the_page() -> None:
    levels = {operation["bindings"]["mqtt"]["qos"] for operation in DOC["operations"].values()}
    assert levels == {1}
    client = Published()
    link = PahoConnection(client, ("broker", 1883), ("riverside", "edge-a"))  # type: ignore[arg-type]  # only publishes
    await link.publish("data", b"{}")
    await link.publish("birth", b"{}", retain=True)
    assert [(a["qos"], a["retain"]) for a in client.asked] == [(1, False), (1, True)]
    frame = mqtt_frames.publish("t", b"{}", number=1, retain=True)
    assert (frame[0] >> 1 & 3, frame[0] & 1) == (1, 1)
    mqtt = DOC["servers"]["broker"]["bindings"]["mqtt"]
    assert mqtt["keepAlive"] == KEEP_ALIVE_S
    assert mqtt["lastWill"]["topic"] == topic("{site}", "{agent}", "state")
