"""Where the value of an MQTT device stands, as written: topics, paths and words made into rows, or refused."""

import re
import zoneinfo
from dataclasses import replace
from typing import Final

from config.checking import Context
from config.files import MqttText, PointText
from config.profile import Availability, JsonPath, Path, Source

SITE_ZONE: Final = "site"
"""Instead of a zone: that of the plant in which the device stands."""
PATH_FORM: Final = (
    "keys, places and [key=text] or one [*], parted by dots; a key with a dot in quotes"
)
_STEP: Final = re.compile(
    r'"(?P<quoted>[^"]*)"|(?P<list>\[(\*|[^\[\]=]+=[^\[\]]*)\])|(?P<key>[^."\[\]]+)'
)
_LEVEL: Final = re.compile(r"[^#+\x00]*|\+")
_PLACE_DIGITS: Final = 9


def json_path(context: Context, key: str, text: PointText, n: int) -> JsonPath | None:
    """The way to the value that a point of part `n` means; None, and a mistake, where it means none."""
    mqtt = context.file.mqtt
    if mqtt is None:
        context.wrong("", "[mqtt] is missing: an MQTT device has a topic")
        return None
    of = f"points.{key}"
    if text.text and text.values is not None:
        _wrong(context, f"{of}.text", "is not used by a point with values: they are words already")
    time = text.time if text.time is not None else mqtt.time
    error = text.error if text.error is not None else mqtt.error
    return JsonPath(
        topic=_topic(context, f"{of}.topic" if text.topic else "mqtt.topic", text.topic or mqtt.topic),
        path=_steps(context, f"{of}.at", (text.at or "").replace("{n}", str(n))),
        scale=text.scale, offset=text.offset,
        values=dict(text.values) if text.values is not None else None,
        time_path=_steps(context, f"{of}.time" if text.time else "mqtt.time", time),
        error_path=_steps(context, f"{of}.error" if text.error else "mqtt.error", error.replace("{n}", str(n))),
        zone=_zone(context, mqtt),
        expects=tuple((_steps(context, f"{of}.expects", at), word) for at, word in text.expects.items()),
        text=text.text, availability=_availability(context, mqtt),
    )  # fmt: skip


def at_site(source: Source, zone: str) -> Source:
    """The source with the site's own zone where the profile leaves it to the site."""
    if isinstance(source, JsonPath) and source.zone == SITE_ZONE:
        return replace(source, zone=zone)
    return source


def _wrong(context: Context, where: str, message: str) -> None:
    context.mistakes.add(context.shown, where, message)


def _topic(context: Context, where: str, topic: str) -> str:
    if not topic or not all(_LEVEL.fullmatch(level) for level in topic.split("/")):
        _wrong(context, where, f"{topic!r} is no topic of one device; allowed: levels parted by /, with {{unit}} in them, or + for a whole level")  # fmt: skip
    return topic


def _steps(context: Context, where: str, path: str) -> Path:
    """A path as written; "" is the message itself."""
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or path[found.end() : found.end() + 1] not in ("", "."):
            _wrong(context, where, f"{path!r} is no path; allowed: {PATH_FORM}")
            return ()
        steps.append(_step(found))
        at = found.end() + 1
    if path.endswith(".") or steps.count("[*]") > 1:
        _wrong(context, where, f"{path!r} is no path; allowed: {PATH_FORM}")
    return tuple(steps)


def _step(found: re.Match[str]) -> str | int:
    key = found["key"]
    if key and key.isdecimal() and key.isascii() and len(key) <= _PLACE_DIGITS:
        return int(key)
    return found["quoted"] if found["quoted"] is not None else found[0]


def _zone(context: Context, mqtt: MqttText) -> str:
    zone = mqtt.time_zone
    if zone and not mqtt.time and not any(point.time for point in context.file.points.values()):
        _wrong(context, "mqtt.time_zone", "is not used without a time; leave it out, or say where the time stands (mqtt.time)")  # fmt: skip
    if zone not in ("", SITE_ZONE) and zone not in zoneinfo.available_timezones():
        _wrong(context, "mqtt.time_zone", f"{zone!r} is no zone; allowed: {SITE_ZONE}, or an IANA zone such as Europe/Berlin")  # fmt: skip
        return ""
    return zone


def _availability(context: Context, mqtt: MqttText) -> Availability | None:
    said = mqtt.availability
    if said is None:
        return None
    if said.online == said.offline:
        _wrong(context, "mqtt.availability.offline", f"{said.offline!r} is the word for online too; allowed: any other")  # fmt: skip
    return Availability(
        _topic(context, "mqtt.availability.topic", said.topic),
        _steps(context, "mqtt.availability.at", said.at), said.online, said.offline,
    )  # fmt: skip
