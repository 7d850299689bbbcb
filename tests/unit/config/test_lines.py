from pathlib import Path
from typing import Any

import pytest

from config.files import LineText
from config.lines import make_line
from config.plant import Line, Secret, Serial, Tls


def made(folder: Path, elsewhere: str | None = None, **text: Any) -> tuple[Line, list[str]]:
    """The line `l` of these members, and the mistakes in it."""
    wrong: list[str] = []
    line = make_line(
        "l", LineText.model_validate({"agent": "e", **text}), elsewhere, folder,
        lambda path, message: wrong.append(f"{path}: {message}"),
    )  # fmt: skip
    return line, wrong


def test_a_serial_port_is_as_the_standard_has_it_unless_something_is_said(tmp_path: Path) -> None:
    line, wrong = made(tmp_path, rtu="/dev/ttyUSB0")
    assert (line.kind, line.path, line.serial) == ("rtu", "/dev/ttyUSB0", Serial(9600, "even", 1))
    assert wrong == []
    line, wrong = made(tmp_path, rtu="/dev/ttyS1", baud=19200, parity="none", turnaround="12ms")
    assert (line.serial, wrong) == (Serial(19200, "none", 2, 0.012), [])
    line, wrong = made(tmp_path, rtu="/dev/ttyS1", parity="none", stop_bits=1, turnaround="0s")
    assert (line.serial, wrong) == (Serial(9600, "none", 1, 0.0), [])


def test_a_gateway_has_an_address_and_the_bus_behind_it(tmp_path: Path) -> None:
    line, wrong = made(tmp_path, rtu_over_tcp="10.0.3.9:4001", baud=38400, round_trip="3ms")
    assert (line.host, line.port, line.round_trip_s) == ("10.0.3.9", 4001, 0.003)
    assert (line.serial, line.path, wrong) == (Serial(38400), "", [])


def test_tls_names_the_device_and_who_signed_it(tmp_path: Path) -> None:
    for name in ("ca.pem", "edge.pem"):
        (tmp_path / name).write_text("")
    line, wrong = made(tmp_path, tls="10.0.3.7:802", ca="ca.pem")
    assert (line.tls, wrong) == (Tls("10.0.3.7", str(tmp_path / "ca.pem")), [])
    line, wrong = made(
        tmp_path, tls="10.0.3.7:802", ca="ca.pem", server_name="pump", certificate="edge.pem",
        key={"secret": "edge-key"},
    )  # fmt: skip
    wanted = Tls("pump", str(tmp_path / "ca.pem"), str(tmp_path / "edge.pem"), Secret("edge-key"))
    assert (line.tls, wrong) == (wanted, [])


def test_a_line_may_stand_elsewhere(tmp_path: Path) -> None:
    assert made(tmp_path, "127.0.0.1:99", tcp="10.0.3.7:502")[0].port == 99
    assert made(tmp_path, "/dev/pts/7", rtu="/dev/ttyUSB0")[0].path == "/dev/pts/7"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ({}, "l: needs exactly one of tcp, tls, rtu, rtu_over_tcp, mqtt, rtsp, fire"),
        ({"tcp": "h:1", "rtu": "/dev/x"}, "l: needs exactly one of"),
        ({"tcp": "h:0"}, "l.tcp: port 0 is not in 1..65535"),
        ({"tcp": "h:1", "baud": 9600}, "l.baud: means nothing for tcp; only for rtu, rtu_over_tcp"),
        ({"rtu": "/dev/x", "round_trip": "3ms"}, "l.round_trip: means nothing for rtu"),
        ({"tcp": "h:1", "ca": "ca.pem"}, "l.ca: means nothing for tcp; only for mqtt, rtsp, tls"),
        ({"tcp": "h:1", "ca": ""}, "l.ca: means nothing for tcp; only for mqtt, rtsp, tls"),
        ({"rtu": "/dev/ttyS0", "ca": ""}, "l.ca: means nothing for rtu"),
        ({"mqtt": "h:1", "ca": "no.pem"}, "l.ca: there is no file 'no.pem' in the plant's folder"),
        ({"mqtt": "h:1", "server_name": "x"}, "l.server_name: means nothing for mqtt"),
        ({"tcp": "h:1", "user": "me"}, "l.user: means nothing for tcp; only for mqtt"),
        ({"tls": "h:1"}, "l.ca: is missing"),
        ({"tls": "h:1", "ca": ""}, "l.ca: is missing"),
        ({"mqtt": "h:1", "ca": ""}, "l.ca: is missing"),
        ({"rtsp": "h:554", "ca": ""}, "l.ca: is missing"),
        ({"tls": "h:1", "ca": "no.pem", "certificate": "", "key": {"secret": "k"}}, "l.certificate: certificate and key go together"),
        ({"tls": "h:1", "ca": "no.pem"}, "l.ca: there is no file 'no.pem' in the plant's folder"),
        ({"tls": "h:1", "ca": "no.pem", "certificate": "x.pem"}, "l.certificate: certificate and key go together"),
    ],
)  # fmt: skip
def test_what_a_line_cannot_mean_is_said(tmp_path: Path, text: dict[str, Any], said: str) -> None:
    _, wrong = made(tmp_path, **text)
    assert any(one.startswith(said) for one in wrong), wrong
    if "means nothing" in said:
        assert not any("is missing" in one for one in wrong), "nor asked for there"


LABEL = "a" * 63


@pytest.mark.parametrize(
    "host", ["h", "10.0.3.7", "cam_1.lan.", f"{LABEL}.{LABEL}.lan", "[fe80::1]"]
)
def test_a_host_is_taken_by_every_name_that_a_resolver_can_know(tmp_path: Path, host: str) -> None:
    line, wrong = made(tmp_path, rtsp=f"{host}:554")
    assert (line.host, line.port, wrong) == (host.strip("[]"), 554, [])


@pytest.mark.parametrize("kind", ["tcp", "tls", "rtu_over_tcp", "mqtt", "rtsp", "fire"])
@pytest.mark.parametrize("host", ["cam..lan", ".lan", "..", f"{LABEL}a", f"{LABEL}a.lan"])
def test_a_host_that_no_resolver_can_know_is_refused_of_every_line(kind: str, host: str) -> None:
    with pytest.raises(ValueError, match="should match pattern"):
        LineText.model_validate({"agent": "e", kind: f"{host}:554"})


@pytest.mark.parametrize(
    "text", [{"rtu": "COM 3"}, {"rtu": "/dev/x", "baud": 50}, {"rtu": "/dev/x", "stop_bits": 3},
             {"rtu": "/dev/x", "parity": "mark"}, {"tcp": "h:1", "round_trip": "0s"}],
)  # fmt: skip
def test_what_no_line_has_is_refused(text: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="LineText"):
        LineText.model_validate({"agent": "e", **text})
