from pathlib import Path

import pytest

from config.load import load_plant
from config.mistakes import ConfigErrors

HEAD = """
site = "s"
name = { en = "S", zh = "S" }
time_zone = "Asia/Shanghai"
[assets.one]
name = { en = "One", zh = "One" }
system = "standby-power"
[devices.one]
profile = "generator"
line = "a"
asset = "one"
unit = UNIT
"""


def mistakes(folder: Path, *lines: str, unit: str = "1") -> list[str]:
    """Of a plant with these lines, named a, b …, and one device on the first."""
    told = [f"[lines.{name}]\n{line}" for name, line in zip("abc", lines, strict=False)]
    text = "\n".join([HEAD.replace("UNIT", unit), *told])
    (folder / "plant.toml").write_text(text, encoding="utf-8")
    try:
        load_plant(folder)
    except ConfigErrors as error:
        return [str(one).partition("plant.toml: ")[2] for one in error.mistakes]
    return []


A, B = 'agent = "e"\n', 'agent = "f"\n'
SERIAL, GATE, LOCAL = 'rtu = "/dev/ttyUSB0"', 'rtu_over_tcp = "10.0.3.9:4001"', 'rtu_over_tcp = "127.0.0.1:4001"'  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"), [(A + SERIAL, A + SERIAL), (A + GATE, A + GATE), (A + GATE, B + GATE), (A + LOCAL, A + LOCAL)]
)  # fmt: skip
def test_two_lines_on_one_port_are_refused(first: str, second: str, tmp_path: Path) -> None:
    said = mistakes(tmp_path, first, second)
    assert len(said) == 1
    assert said[0].startswith("lines.b.rtu")
    assert "is a's too: what shares a port is one line" in said[0]


@pytest.mark.parametrize(
    ("first", "second"),
    [(A + SERIAL, B + SERIAL), (A + LOCAL, B + LOCAL), (A + SERIAL, A + 'rtu = "/dev/ttyUSB1"'),
     (A + 'tcp = "10.0.3.9:502"', A + 'tcp = "10.0.3.9:502"')],
)  # fmt: skip
def test_ports_of_two_machines_and_two_connections_are_sound(
    first: str, second: str, tmp_path: Path
) -> None:
    assert mistakes(tmp_path, first, second) == []


def test_two_lines_of_one_agent_cannot_listen_for_fire_panels_at_one_port(tmp_path: Path) -> None:
    fire = 'fire = "0.0.0.0:9099"'
    tcp = A + 'tcp = "h:502"'
    assert mistakes(tmp_path, tcp, A + fire, B + fire) == []
    assert [one.partition(":")[0] for one in mistakes(tmp_path, tcp, A + fire, A + fire)] == ["lines.c.fire"]  # fmt: skip


@pytest.mark.parametrize("unit", ["0", "255", "1", "247"])
def test_units_that_tcp_devices_have_are_sound(unit: str, tmp_path: Path) -> None:
    assert mistakes(tmp_path, A + 'tcp = "h:502"', unit=unit) == []


@pytest.mark.parametrize(
    ("line", "unit", "said"),
    [("tcp = 'h:1'", "248", "248 is not in 1..247, 0 or 255"), (SERIAL, "0", "0 is not in 1..247"),
     (SERIAL, "255", "255 is not in 1..247"), (SERIAL, "'1'", "'1' is a text in quotes, not a whole number in 1..247")],
)  # fmt: skip
def test_units_that_nobody_answers_as_are_refused(
    line: str, unit: str, said: str, tmp_path: Path
) -> None:
    assert mistakes(tmp_path, A + line, unit=unit) == [f"devices.one.unit: {said}"]
