"""`steward profile import|test`: your own equipment, from its maker's register list to a profile that reads right."""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from commands.profile_line import WrongWords, add_line, line_of
from commands.profile_trial import Result, is_away, try_device, try_simulated
from config.files import UnitsFile
from config.imported_fields import slug
from config.imported_points import Draft
from config.importing import draft_profile
from config.list_text import Unreadable, text_of
from config.load import LIBRARY, load_profile, units_of
from config.mistakes import ConfigErrors, Mistakes
from config.profile import Profile
from config.profile_text import profile_text
from config.reading import BYTES_MAX, read_file
from config.register_csv import read_csv
from config.register_maps import RegisterMap, read_map
from config.register_words import COLUMNS, ORDERS, TYPES

EXAMPLE = "profile import registers.csv --id acme-meter --class energy-meter"
CSV_EXAMPLE = """\
  id,address,type,order,scale,unit,sentinels,min,max,enum,comment
  voltage_l1,40001,uint16,,0.1,V,65535,0,500,,
  energy,40003,uint32,CDAB,0.01,kWh,,,,,imported
  mode,40010,uint16,,,,,,,0=Off; 1=Automatic; 2=Manual,"""
WRONG_SHOWN = 3


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command and of each thing it does."""
    parts = parser.add_subparsers(dest="what", required=True)
    importing = parts.add_parser(
        "import", help="make a profile from a register list (CSV, or JSON as in tests/data/register_maps)",
        formatter_class=argparse.RawDescriptionHelpFormatter, description=_columns(),
    )  # fmt: skip
    importing.add_argument("file", help="register list: .json, or CSV (comma, semicolon or tab)")
    importing.add_argument("--id", default="", help="id of the profile; else the list's own")
    importing.add_argument("--class", dest="asset_class", default="", help="class of the asset, e.g. energy-meter")  # fmt: skip
    importing.add_argument("-o", "--out", default="", help="file to write; else ID.toml beside you")
    importing.add_argument("--force", action="store_true", help="overwrite the file if it is there")
    testing = parts.add_parser(
        "test", help="read every point of a profile: of its own simulator, or of a device"
    )
    testing.add_argument("file", help="the profile, ID.toml")
    add_line(testing)
    testing.add_argument("--json", action="store_true", help="print one JSON object")


def _columns() -> str:
    """What may stand in a CSV, for the help."""
    rows = "\n".join(f"  {field:10} {', '.join(names)}" for field, names in COLUMNS.items())
    return (
        "Columns of a CSV, in any order, and what each may be called (capitals, blanks, _ and - do not matter):\n\n"
        f"{rows}\n\n"
        "Needed: id (or name, or zh) and address. The file is UTF-8, or GB 18030 as a Chinese spreadsheet saves it. Without table and function the address is of the style 40001, 30001,\n"
        "10001, 00001, 4x0001 (one-based, six digits too); with either it is the address on the wire, from 0, also 0x1A or\n"
        "1Ah. 40001-40002 is a value of two registers. A cell of - or n/a is empty.\n"
        f"type:  {', '.join(TYPES)} or as makers write them (uint16, float, dword …); empty is u16.\n"
        f"order: ABCD, CDAB, BADC, DCBA (A = most significant byte), each byte of four words such as GHEFCDAB or EFGHABCD, or {', '.join(ORDERS)}.\n"
        "scale: 0.1, 1/10, /10, 10^-1 or 0.1V; value = raw x scale + offset. divisor: value = raw / divisor. scale_from: id of\n"
        "the row that holds the decimal exponent, or that exponent itself, -10..10: value = raw x 10^exponent. min and max: what the VALUE can physically be, in its unit, after\n"
        "scale: any other reading is bad and dropped (alarm limits belong in alarms.toml). sentinels: raw numbers that mean\n"
        "no data, 65535, 0xFFFF or FFFFh; of a float the number itself, or its bits in hex; of a bit or named bits those of the whole register.\n"
        "Numbers: 0.1 or 0,1; 1,000 and 1.000 only where another number of the list shows which mark is that of fractions.\n"
        "enum and bits: 0=Off; 1=On. byte: high or low. access: R, RW or W.\n\nexample:\n\n"
        + CSV_EXAMPLE
    ).replace("%", "%%")


def run(arguments: argparse.Namespace) -> int:
    """0 written or every point right; 1 a point is not; 2 a file or a word that cannot be; 3 no connection."""
    return _import(arguments) if arguments.what == "import" else _test(arguments)


# --- import ------------------------------------------------------------------------------------


def _import(arguments: argparse.Namespace) -> int:
    source = Path(arguments.file)
    mistakes = Mistakes()
    registers = _registers(source, arguments.id, mistakes)
    units = read_file(LIBRARY / "units.toml", UnitsFile, "units.toml", mistakes)
    mistakes.raise_if_any()
    if registers is None or units is None:
        raise AssertionError("what cannot be read is a mistake")
    draft = draft_profile(registers, units.units.keys(), arguments.id, arguments.asset_class)
    if not draft.profile["points"]:
        _say_notes(draft)
        return _wrong(f"no register of {source.name} can be a point")
    target = Path(arguments.out or f"{draft.profile['profile']}.toml")
    if arguments.id and slug(arguments.id, "-") != arguments.id:
        return _wrong(f"--id {arguments.id!r} is not of small letters, digits and -; perhaps {slug(arguments.id, '-')!r}")  # fmt: skip
    text = profile_text(draft.profile, draft.remarks, _head(source, registers))
    points = _sound(text, draft.profile["profile"], source.name)
    if said := _written(target, text, force=arguments.force):
        return _wrong(said)
    _say_notes(draft)
    _say_next(target, draft, points)
    return 0


def _registers(source: Path, id: str, mistakes: Mistakes) -> RegisterMap | None:
    try:
        data = source.read_bytes()
        if len(data) > BYTES_MAX:
            mistakes.add(source.name, "", f"is larger than {BYTES_MAX // 1024 // 1024} MiB")
            return None
        if data.startswith(b"PK"):
            mistakes.add(source.name, "", "is a workbook: save its sheet as CSV UTF-8")
            return None
        text, said = text_of(data)
    except OSError as error:
        mistakes.add(str(source), "", f"cannot be read: {error.strerror}")
        return None
    except Unreadable as error:
        mistakes.add(source.name, "", str(error))
        return None
    if source.suffix.lower() == ".json":
        registers = read_map(text, source.name, mistakes)
    else:
        registers = read_csv(text, id or source.stem, source.name, mistakes)
    return replace(registers, assumed=[said, *registers.assumed]) if registers and said else registers  # fmt: skip


def _head(source: Path, registers: RegisterMap) -> list[str]:
    told = registers.about.get("source")
    facts = [str(told[key]) for key in ("repo", "path", "licence") if told.get(key)] if isinstance(told, dict) else []  # fmt: skip
    return [
        f"Made by `steward profile import` from {source.name}{': ' if facts else ''}{', '.join(facts)}.",
        "Check it against the manual of this very model and firmware before it goes to a plant.",
    ]


def _sound(text: str, id: str, source: str) -> int:
    """How many points the profile has as it will be loaded; raises ConfigErrors for one that will not.

    The file is not there yet: what is wrong with it is said of the list that it was made of.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profiles" / f"{id[:60]}.toml"
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        try:
            return len(load_profile(path).points)
        except ConfigErrors as error:
            mistakes = Mistakes()
            for one in error.mistakes:
                mistakes.add(f"{source}, as a profile", one.path, one.message)
            raise ConfigErrors(mistakes.rows) from error


def _written(target: Path, text: str, *, force: bool) -> str:
    """Why the file was not written, "" if it was."""
    try:
        with target.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return f"{target} is there already; --force overwrites it, -o names another"
    except OSError as error:
        return f"{target} cannot be written: {error.strerror}"
    return ""


def _say_notes(draft: Draft) -> None:
    if not draft.notes:
        return
    print("Not carried over, or not as the list has it:", file=sys.stderr)
    for note in draft.notes:
        left = "LEFT OUT: " if note.lost else ""
        print(f"  {note.point + ': ' if note.point else ''}{left}{note.message}", file=sys.stderr)


def _say_next(target: Path, draft: Draft, points: int) -> None:
    id = draft.profile["profile"]
    lost = sum(note.lost for note in draft.notes)
    print(f"{target}: profile {id}, {points} points{f', {lost} registers left out' if lost else ''}")  # fmt: skip
    ranged = sum("range" in point for point in draft.profile["points"].values())
    if ranged:
        print(f"{ranged} of them have a range (min, max): a reading outside it is bad and its value dropped")  # fmt: skip
    print("None of them has a class (Brick) or haystack markers: lists do not say what a point is to other systems")  # fmt: skip
    print("Next:")
    print("  1. Look through it: units, ranges, kind = \"counter\" of meters, poll = \"fast\" of what matters; class and haystack if others ask.")  # fmt: skip
    print(f"  2. ./steward profile test {target}")
    print(f"  3. ./steward profile test {target} --against HOST:502 --unit 1   (the device itself, only read; or --against /dev/ttyUSB0 --baud 9600)")  # fmt: skip
    print(f"  4. Put it into PLANT/profiles/{id}.toml, name it in PLANT/plant.toml, ./steward check PLANT")  # fmt: skip


# --- test --------------------------------------------------------------------------------------


def _test(arguments: argparse.Namespace) -> int:
    profile = load_profile(Path(arguments.file))
    if profile.protocol != "modbus":
        return _wrong(f"{profile.id} is a profile of protocol {profile.protocol}; only Modbus profiles can be tested so. Its file is sound: name it in PLANT/plant.toml, ./steward check PLANT, and compare what ./steward up PLANT shows with the device")  # fmt: skip
    if not profile.points:
        return _wrong(f"{profile.id} has no points")
    try:
        line = line_of(arguments)
    except WrongWords as error:
        return _wrong(str(error))
    kind = line.kind if line else "tcp"
    if arguments.unit not in units_of(kind):
        return _wrong(f"--unit {arguments.unit} is not in 1..247{', 0 or 255' if kind == 'tcp' else ', as a serial bus has them'}")  # fmt: skip
    if line is None:
        return _told(profile, asyncio.run(try_simulated(profile)), arguments)
    results, detail = asyncio.run(try_device(profile, line, arguments.unit))
    if detail:
        print(f"steward profile: {detail}", file=sys.stderr)
    return _told(profile, results, arguments)


def _told(profile: Profile, results: Sequence[Result], arguments: argparse.Namespace) -> int:
    failed = [result for result in results if result.wrong]
    if arguments.json:
        print(json.dumps(_as_json(profile, results), ensure_ascii=False))
        return _verdict(results)
    if is_away(results):
        print(f"{profile.id}: {arguments.against} was not reached: nothing is known of its points")
        return _verdict(results)
    _print_table(results)
    for result in failed:
        for said in result.wrong[:WRONG_SHOWN]:
            print(f"  NO  {result.point}: {said}")
    values = sum(len(result.held) for result in results)
    where = f"{arguments.against} unit {arguments.unit}" if arguments.against else "its own simulator"  # fmt: skip
    if failed:
        print(f"{profile.id}: {len(failed)} of {len(results)} points failed on {where}: {', '.join(r.point for r in failed)}")  # fmt: skip
        return 1
    print(f"{profile.id}: {len(results)} points right on {where}, {values} values")
    return 0


def _verdict(results: Sequence[Result]) -> int:
    if is_away(results):
        return 3
    return 1 if any(result.wrong for result in results) else 0


def _print_table(results: Sequence[Result]) -> None:
    long = max(len(result.point) for result in results)
    print(f"{'point':{long}}  {'words':19}  {'value':>16}  quality")
    for result in results:
        seen = result.seen
        words = " ".join(f"{word:04x}" for word in seen.words or ()) or "-"
        value = "-" if seen.value is None else f"{seen.value:.10g}" if isinstance(seen.value, float) else repr(seen.value)  # fmt: skip
        shown = f"{value} {result.unit}".rstrip()
        print(f"{result.point:{long}}  {words:19}  {shown:>16}  {seen.quality}")


def _as_json(profile: Profile, results: Sequence[Result]) -> dict[str, object]:
    return {
        "profile": profile.id,
        "verdict": {0: "yes", 1: "no", 3: "unknown"}[_verdict(results)],
        "points": [
            {
                "point": r.point, "words": list(r.seen.words) if r.seen.words else None,
                "value": r.seen.value, "unit": r.unit, "quality": r.seen.quality,
                "values": len(r.held), "wrong": r.wrong,
            }
            for r in results
        ],
    }  # fmt: skip


def _wrong(said: str) -> int:
    print(f"steward profile: {said}", file=sys.stderr)
    return 2
