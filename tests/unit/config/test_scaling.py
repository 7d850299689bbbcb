"""`scale_from` in a profile: which point it means, seen from a part too, and every mistake in words."""

from pathlib import Path

import pytest

from config.load import load_profile
from config.mistakes import ConfigErrors
from config.profile import Register

HEAD = """
profile = "meter"
version = 1
name = { en = "Meter" }
protocol = "modbus"
class = "energy-meter"

[parts.phase]
count = 3
stride = 10
name = { en = "Phase {n}" }

[parts.only]
count = 1
name = { en = "The only one" }
"""


def profile(tmp_path: Path, *rows: str) -> Path:
    """Each row a point: key, then what is written of it beside its name."""
    points = []
    for number, row in enumerate(rows):
        key, _, rest = row.partition(": ")
        place = "" if "at = " in rest else f'at = "holding:{number}"\n'
        said = rest.replace("; ", "\n")
        points.append(f'[points."{key}"]\nname = {{ en = "P" }}\n{place}{said}\n')
    path = tmp_path / "meter.toml"
    path.write_text(HEAD + "\n".join(points), encoding="utf-8")
    return path


def ways(path: Path) -> dict[str, str]:
    """Of each scaled point, the way to its exponent."""
    return {
        "/".join(filter(None, (point.part, point.id))): point.source.scale_from
        for point in load_profile(path).points
        if isinstance(point.source, Register) and point.source.scale_from
    }


MEANT = [
    ("of the device itself", ['v: scale_from = "sf"', "sf: "], {"v": "sf"}),
    ("of the whole, from a part", ['only.v: scale_from = "sf"', "sf: "], {"only-1/v": "../sf"}),
    ("of the own part before that of the whole", ['only.v: scale_from = "sf"', "only.sf: ", "sf: "], {"only-1/v": "sf"}),
    ("of the own part by its whole key", ['only.v: scale_from = "only.sf"', "only.sf: ", "sf: "], {"only-1/v": "sf"}),
    ("of a part, from the whole", ['v: scale_from = "only.sf"', "only.sf: "], {"v": "only-1/sf"}),
    ("of another part", ['phase.v: scale_from = "only.sf"', "only.sf: "],
     {f"phase-{n}/v": "../only-1/sf" for n in (1, 2, 3)}),
    ("of each of several parts its own", ['phase.v: scale_from = "phase.sf"', "phase.sf: "],
     {f"phase-{n}/v": "sf" for n in (1, 2, 3)}),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "expected"), [row[1:] for row in MEANT], ids=[row[0] for row in MEANT])  # fmt: skip
def test_an_exponent_is_found_from_where_the_value_stands(
    tmp_path: Path, rows: list[str], expected: dict[str, str]
) -> None:
    assert ways(profile(tmp_path, *rows)) == expected


WRONG = [
    ("no point", ['v: scale_from = "nowhere"'], "points.v.scale_from: 'nowhere' is unknown; allowed: v"),
    ("of a part, without its name", ['v: scale_from = "sf"', "only.sf: "], "points.v.scale_from: 'sf' is unknown; allowed: only.sf, v"),
    ("one of several", ['v: scale_from = "phase.sf"', "phase.sf: "],
     "points.v.scale_from: 'phase.sf' is of phase-1 to phase-3, and nothing says which"),
    ("single bits", ['v: scale_from = "sf"', 'sf: kind = "flags"; bits = { 0 = "on" }'], "'sf' names single bits"),
    ("a coil", ['v: scale_from = "sf"', 'sf: kind = "flag"; at = "coil:1"; type = "bit"'], "'sf' is a single bit"),
    ("a bit of a word", ['v: scale_from = "sf"', 'sf: kind = "flag"; at = "holding:1.3"'], "'sf' is a single bit"),
    ("a number with a fraction", ['v: scale_from = "sf"', 'sf: type = "f32"'], "'sf' is a f32"),
    ("a text", ['v: scale_from = "sf"', 'sf: type = "string"; words = 2'], "'sf' is a string"),
    ("scaled in parts", ['v: scale_from = "sf"', "sf: scale = 0.1"], "has a scale or an offset that is no whole number"),
    ("itself", ['v: scale_from = "v"'], "'v' is scaled by 'v' itself"),
    ("a chain", ['v: scale_from = "w"', 'w: scale_from = "x"', "x: "], "points.v.scale_from: 'w' is scaled by 'x' itself"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "said"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])  # fmt: skip
def test_what_cannot_be_an_exponent_is_refused_in_words(
    tmp_path: Path, rows: list[str], said: str
) -> None:
    with pytest.raises(ConfigErrors) as refused:
        load_profile(profile(tmp_path, *rows))
    (mistake,) = refused.value.mistakes
    assert said in str(mistake)
