"""The line by which `steward profile test` reaches a device, said in words of the command line."""

import argparse
import re
from typing import Final, cast

from config.lines import serial_of
from config.plant import Line, LineKind, Parity

TIMEOUT_S: Final = 1.0
BAUDS: Final = (300, 4_000_000)


class WrongWords(Exception):
    """Which word cannot be, and what is allowed."""


def add_line(parser: argparse.ArgumentParser) -> None:
    """The words that say where a device is and how it is reached."""
    parser.add_argument("--against", default="", metavar="WHERE", help="a device, which is only read: HOST:PORT over Modbus TCP, or a serial port such as /dev/ttyUSB0 that no agent has open")  # fmt: skip
    parser.add_argument("--rtu", action="store_true", help="at HOST:PORT is a gateway that passes the frames of a serial bus on (rtu_over_tcp)")  # fmt: skip
    parser.add_argument("--baud", type=int, help="of the serial bus; else 9600")
    parser.add_argument("--parity", choices=("even", "odd", "none"), help="of the serial bus; else even")  # fmt: skip
    parser.add_argument("--stop-bits", type=int, choices=(1, 2), help="of the serial bus; else 1, without parity 2")  # fmt: skip
    parser.add_argument("--unit", type=int, default=1, help="Modbus unit of the device: 1..247, over TCP 0 or 255 too")  # fmt: skip
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, help="seconds that the device may take, to 60")  # fmt: skip


def line_of(arguments: argparse.Namespace) -> Line | None:
    """The line to the device; None where none is named.

    Raises:
        WrongWords: a word that cannot be, or means nothing there.
    """
    said, serial = arguments.against, ("baud", "parity", "stop_bits")
    kind: LineKind = "rtu" if said.startswith("/") else "rtu_over_tcp" if arguments.rtu else "tcp"
    beside = [f"--{word.replace('_', '-')}" for word in serial if getattr(arguments, word) is not None]  # fmt: skip
    if kind == "tcp" and beside:
        raise WrongWords(f"{beside[0]} means nothing over Modbus TCP: --against a serial port such as /dev/ttyUSB0, or --rtu for a gateway to one")  # fmt: skip
    if not 0 < arguments.timeout <= 60:
        raise WrongWords(f"--timeout {arguments.timeout:g} is not above 0 and up to 60 seconds")
    if arguments.baud is not None and not BAUDS[0] <= arguments.baud <= BAUDS[1]:
        raise WrongWords(f"--baud {arguments.baud} is not in {BAUDS[0]}..{BAUDS[1]}")
    if not said:
        if arguments.rtu:
            raise WrongWords("--rtu says how HOST:PORT is reached, and there is no --against")
        return None
    host, port = ("", 0) if kind == "rtu" else _endpoint(said)
    bus = None if kind == "tcp" else serial_of(arguments.baud, cast("Parity | None", arguments.parity), arguments.stop_bits)  # fmt: skip
    return Line(
        "trial", "trial", kind, host, port,
        timeout_s=arguments.timeout, path=said if kind == "rtu" else "", serial=bus,
    )  # fmt: skip


def _endpoint(said: str) -> tuple[str, int]:
    endpoint = re.fullmatch(r"\[?([A-Za-z0-9._:-]+?)\]?:(\d{1,5})", said)
    if endpoint is None or not 1 <= int(endpoint[2]) <= 65535:
        raise WrongWords(f"--against {said!r} is not HOST:PORT such as 10.0.3.7:502, or a serial port such as /dev/ttyUSB0")  # fmt: skip
    return endpoint[1], int(endpoint[2])
