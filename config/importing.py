"""From a maker's register list to a profile: what it says, and by name what it cannot say."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

from config.checking import Span, grown, table_of
from config.imported_fields import (
    field_of,
    free,
    is_chinese,
    key_of,
    order_of,
    size_of,
    slug,
    titled,
)
from config.imported_points import Draft, RowPoint
from config.imported_scale import Exponents
from config.register_maps import RegisterMap, Row, whole

PAUSES_S: Final[Mapping[str, float]] = {
    "pause_s": 1.0, "pause_ms": 1e-3, "pause_us": 1e-6, "pause_between_frames_us": 1e-6,
    "pause_between_frames_ms": 1e-3, "pause_before_request_us": 1e-6, "pause_before_request_ms": 1e-3,
}  # fmt: skip
LEFT_OUT: Final[Sequence[tuple[Callable[[Mapping[str, Any]], object], str]]] = (
    (lambda f: f.get("write_only"), "can only be written; Steward only reads"),
    (lambda f: f.get("needs_write"), "is there only after a write ({needs_write}); Steward only reads"),
    (lambda f: f.get("count"), "is an array of {count}; name its elements as points of their own"),
    (lambda f: f["type"] == "string" and f.get("chars_per_word") == 1, "has one character per word"),
    (lambda f: f["type"] == "string" and not f.get("words"), "is a text of unknown length: words is missing"),
    (lambda f: f["type"] != "string" and (f.get("words") or size_of(f)) != size_of(f), "takes {words} words, which {type} does not"),
    (lambda f: f["table"] in ("holding", "input") and order_of(f) is None, "has the order {order}, which is none of a {type}"),
)  # fmt: skip
"""When a row cannot be a point, and the reason in words."""
NAMED_MAX: Final = 5


def draft_profile(
    registers: RegisterMap, units: Set[str], id: str = "", asset_class: str = ""
) -> Draft:
    """The profile of a checked register list; `units` are the names in config/units.toml.

    Every row becomes a point or a note that says why it did not. Addresses are zero-based.
    """
    draft = Draft()
    device = registers.device
    name = " ".join(part for part in (device.get("maker"), device.get("name")) if part)
    own = slug(id or registers.id, "-") or "imported"
    draft.profile = {
        "profile": own, "version": 1, "name": {"en": name or titled(own)}, "protocol": "modbus",
        "class": slug(asset_class or device.get("class", ""), "-") or "equipment",
    }  # fmt: skip
    allowed = _modbus(registers, draft)
    if modbus := _modbus_text(allowed):
        draft.profile["modbus"] = modbus
    draft.profile["points"] = _points(registers.rows, units, allowed, draft)
    writable = sum(bool(row.fields.get("writable")) for row in registers.rows)
    if writable:
        draft.note("", f"{writable} registers can be written too; Steward only reads them")
    for said in registers.assumed:
        draft.note("", said)
    for key in registers.unused:
        draft.note("", f"{key} is not carried over")
    return draft


# --- the device --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Allowed:
    """What a request of the device may hold; `limits` as a profile's `[modbus]` has them."""

    limits: Mapping[str, Any]
    forbidden: Sequence[Span]
    together: Sequence[Span]


def _modbus_text(allowed: _Allowed) -> dict[str, Any]:
    spans = {"forbidden": allowed.forbidden, "together": allowed.together}
    return dict(allowed.limits) | {key: [_span_text(s) for s in of] for key, of in spans.items() if of}  # fmt: skip


def _modbus(registers: RegisterMap, draft: Draft) -> _Allowed:
    about = registers.about
    table: dict[str, Any] = _limits(about.get("limits", {}), draft)
    forbidden = [span for key in ("forbidden", "refused") for span in _spans(key, about, draft)]
    together: list[Span] = []
    for key in ("read_together", "must_be_same_request"):
        for span in _spans(key, about, draft):
            why = _why_not_one(grown(span, [*together, span]), table, forbidden)
            if why:
                draft.note("", f"{key} {_span_text(span)} {why}: left out")
            else:
                together.append(span)
    return _Allowed(table, forbidden, together)


def _why_not_one(span: Span, modbus: Mapping[str, Any], forbidden: Sequence[Span]) -> str:
    """Why one request cannot read the span; "" if it can."""
    bits = span[0] in ("coil", "discrete")
    longest = modbus.get("max_bits", 2000) if bits else modbus.get("max_words", 125)
    if span[2] - span[1] >= longest:
        return f"is longer than one request may be ({longest} {'bits' if bits else 'words'})"
    barred = next((one for one in forbidden if _meet(one, span)), None)
    return f"holds {_span_text(barred)}, which must not be read" if barred else ""


def _meet(one: Span, other: Span) -> bool:
    return one[0] == other[0] and one[1] <= other[2] and other[1] <= one[2]


def _limits(limits: object, draft: Draft) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in limits.items() if isinstance(limits, dict) else ():
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
        if key in ("max_words", "max_bits") and 1 <= number <= (125 if key == "max_words" else 2000):  # fmt: skip
            made[key] = int(number)
        elif key in PAUSES_S and 0 < number < 60 / PAUSES_S[key]:  # it may be beyond any float
            made["pause"] = f"{number * PAUSES_S[key] * 1000:g}ms"
        elif "timeout" in key:
            draft.note("", f"limits.{key} = {value}: a timeout belongs to the line in plant.toml")
        else:
            draft.note("", f"limits.{key} is not carried over: {value}")
    return made


def _spans(key: str, about: Mapping[str, Any], draft: Draft) -> list[Span]:
    """Ranges of a key; whatever is none of them is noted in its own words."""
    given = about.get(key, [])
    spans: list[Span] = []
    for one in given if isinstance(given, list) else [given]:
        span = _span(one)
        if span:
            spans.append(span)
        elif key == "must_be_same_request":
            draft.note("", f"{key} names no addresses ({one}); a point and its scale_from come in one request where one can hold both, else the exponent is read before and after and must be the same")  # fmt: skip
        else:
            draft.note("", f"{key} names no addresses: {one}")
    return spans


def _span(one: object) -> Span | None:
    if not isinstance(one, dict):
        return None
    table, start, length = one.get("table"), whole(one.get("start")), whole(one.get("length"))
    if table not in ("holding", "input", "coil", "discrete") or start is None or length is None:
        return None
    sound = start >= 0 and length >= 1 and start + length <= 65536
    return (table_of(table), start, start + length - 1) if sound else None


def _span_text(span: Span) -> str:
    return f"{span[0]}:{span[1]}" + (f"-{span[2]}" if span[2] > span[1] else "")


# --- its points --------------------------------------------------------------------------------


def _points(
    rows: Sequence[Row], units: Set[str], allowed: _Allowed, draft: Draft
) -> dict[str, Any]:
    names = _names(rows)
    kept = {
        place: key
        for place, (row, key) in enumerate(zip(rows, names, strict=True))
        if not _left_out(row, key, allowed, draft)
    }
    exponents, taken = Exponents(rows, kept), set(kept.values())
    points: dict[str, Any] = {}
    for place, key in kept.items():
        made = RowPoint(key, rows[place].fields, draft).made(units, exponents.of(place), taken)
        if made is not None:
            points[key] = made
    for row, key in zip(rows, names, strict=True):
        _say_renamed(row, key, points.get(key, {}).get("name", {}), draft)
    unsaid = [key for place, key in kept.items() if key in points and _says_no_order(rows[place])]
    if unsaid:
        draft.note("", _order_taken(unsaid))
    return points


def _says_no_order(row: Row) -> bool:
    fields = row.fields
    return size_of(fields) > 1 and fields["type"] != "string" and not fields.get("order")


def _order_taken(points: Sequence[str]) -> str:
    more = len(points) - NAMED_MAX
    named = ", ".join(points[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
    return f'no order of registers is said for {named}: ABCD is taken; where values look wild, write order = "CDAB"'


def _names(rows: Sequence[Row]) -> list[str]:
    """The id of each row's point, a second one numbered."""
    taken: set[str] = set()
    names: list[str] = []
    for row in rows:
        names.append(free(key_of(row.fields), taken))
        taken.add(names[-1])
    return names


def _say_renamed(row: Row, key: str, name: Mapping[str, str], draft: Draft) -> None:
    """What the list calls a point, unless that is its name or as good as its id."""
    given = str(row.fields["id"])
    kept = is_chinese(given) and given in name.values()
    if not kept and key != given.lower().replace(" ", "_"):
        draft.note(key, f"is {given!r} in the list")


def _left_out(row: Row, key: str, allowed: _Allowed, draft: Draft) -> bool:
    fields = row.fields
    reasons = [said.format_map({"needs_write": "", "words": ""} | dict(fields)) for test, said in LEFT_OUT if test(fields)]  # fmt: skip
    first = fields["address"]
    last = first + (1 if fields["table"] in ("coil", "discrete") else fields.get("words") or size_of(fields)) - 1  # fmt: skip
    own: Span = fields["table"], first, last
    reasons += [
        f"stands in {_span_text(span)}, which must not be read"
        for span in allowed.forbidden
        if _meet(span, own)
    ]
    whole = grown(own, allowed.together)
    if not reasons and (why := _why_not_one(whole, allowed.limits, allowed.forbidden)):
        reasons.append(f"is to be read as {_span_text(whole)}, which {why}")
    if last > 65535:
        reasons.append("ends beyond address 65535")
    if (said := _nofield_of(fields)) and not reasons:
        reasons.append(said)
    if reasons:
        draft.note(key, "; ".join(reasons), lost=True)
    return bool(reasons)


def _nofield_of(fields: Mapping[str, Any]) -> str:
    """Why the bits that a row names cannot be taken of its register; "" if they can or it names none."""
    bit, width = field_of(fields)
    if bit is None or fields["table"] in ("coil", "discrete"):
        return ""
    if fields["type"] in ("f32", "f64", "bcd16", "bcd32", "string"):
        return f"names bits of a {fields['type']}"
    end = bit + width
    return f"names bit {end - 1} of {16 * size_of(fields)}" if end > 16 * size_of(fields) else ""
