"""Reads one TOML file into its strict model and says every mistake in words."""

import re
import reprlib
import tomllib
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from config.files import Strict
from config.forms import SAID
from config.mistakes import Mistakes

F = TypeVar("F", bound=Strict)
BYTES_MAX = 4 * 1024 * 1024
SECRETS = frozenset({"password", "key"})
"""Where somebody may have written the secret itself instead of its name."""
LOGIN = re.compile(r"//\S*@")
"""Who logs in, as in rtsp://name:password@host."""
Location = tuple[int | str, ...]
RefusedOf = Callable[[Mapping[str, Any], Location], Set[str]]
"""Of a file's content and the place of a table in it: keys of that table that may not stand there."""
_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 80


def read_file(
    path: Path, model: type[F], shown: str, mistakes: Mistakes, refused: RefusedOf | None = None
) -> F | None:
    """The file as `model`; None and a mistake for each thing wrong in it. `shown` names the file.

    `refused` says of the table of a place which of its keys would be refused there for another reason: they
    are not offered in place of an unknown one.
    """
    raw = _raw(path, shown, mistakes)
    if raw is None:
        return None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        for place, said in _told(model, error, partial(refused or _none, raw)):
            mistakes.add(shown, place, said)
        return None


def _none(_file: Mapping[str, Any], _location: Location) -> Set[str]:
    return frozenset()


def _raw(path: Path, shown: str, mistakes: Mistakes) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > BYTES_MAX:
            mistakes.add(shown, "", f"is larger than {BYTES_MAX // 1024 // 1024} MiB")
            return None
        raw = tomllib.loads(path.read_bytes().decode("utf-8"))
        _check_whole_numbers(raw)
        return raw
    except FileNotFoundError:
        mistakes.add(shown, "", "is missing")
    except OSError as error:
        mistakes.add(shown, "", f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        mistakes.add(shown, "", f"is not UTF-8: byte {error.start}")
    except ValueError as error:  # of TOML, and of whole numbers with thousands of digits
        mistakes.add(shown, "", f"is not TOML: {error}")
    except RecursionError:
        mistakes.add(shown, "", "is nested too deep")
    return None


def _check_whole_numbers(value: object) -> None:
    """TOML's whole numbers have 64 bits; Python's reader takes longer ones."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _check_whole_numbers(each)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a whole number beyond 64 bits")


def _told(
    model: type[BaseModel], error: ValidationError, refused: Callable[[Location], Set[str]]
) -> Iterator[tuple[str, str]]:
    """Path and what is wrong there, once where a value may be of several kinds and is of none."""
    by_place: dict[str, list[Any]] = {}
    for one in error.errors(include_url=False):
        by_place.setdefault(_dotted(tuple(one["loc"])), []).append(one)
    wrong_inside = {place.rpartition(".")[0] for place in by_place}
    for place, mine in by_place.items():
        others = [one for one in mine if one["type"] not in KINDS]
        if not others and place not in wrong_inside:  # or it is of one of the kinds
            yield place, _no_kind(model, mine)
        for one in others:
            yield place, _said(model, tuple(one["loc"]), one, refused)


def _no_kind(model: type[BaseModel], mine: Sequence[Any]) -> str:
    """What is wrong with a value that is of none of the kinds that may stand at its place."""
    location, given = _steps(tuple(mine[0]["loc"])), mine[0]["input"]
    kinds = dict.fromkeys(KINDS[one["type"]] for one in mine)
    keys = _allowed(model, location)[:KEYS_SHOWN] if mine[-1]["type"] == "model_type" else []
    with_keys = f" with {', '.join(keys)}" if keys else ""
    own = OWN.get(type(given), "")
    is_own = f"is {own}, not" if own and own not in kinds else "is not"
    return f"{_shown(location, given)} {is_own} {' or '.join(kinds)}{with_keys}"


KEYS_SHOWN = 6
KINDS = {
    "string_type": "a text in quotes", "int_type": "a whole number", "int_from_float": "a whole number", "float_type": "a number",
    "bool_type": "true or false", "list_type": "a list in [ ]", "dict_type": "a table in { }", "model_type": "a table in { }",
}  # fmt: skip
"""What a value was to be, by pydantic's name of the mistake that it is not."""
OWN = {
    str: "a text in quotes", bool: "true or false", list: "a list in [ ]", dict: "a table in { }",
    int: "a whole number", float: "a number with a point",
}  # fmt: skip
"""What a value is."""


def _dotted(location: Location) -> str:
    words: list[str] = []
    for step in _steps(location):
        if isinstance(step, int):
            words[-1:] = [f"{words[-1]}[{step}]" if words else f"[{step}]"]
        elif step != "[key]":
            words.append(step)
    return ".".join(words)


def _steps(location: Location) -> Location:
    """The place without what pydantic adds for the branch of a union; a key of a file may be `float` too."""
    last = location[-1:] if location[-1:] and str(location[-1]) in ("float", "int", "str") else ()
    return tuple(step for step in location[: len(location) - len(last)] if not _is_branch(step))


def _is_branch(step: int | str) -> bool:
    return isinstance(step, str) and step.startswith(("LevelText", "BitText", "constrained-", "function-"))  # fmt: skip


SENTENCES = {
    "missing": "is missing",
    "literal_error": "{given} is not one of {expected}",
    "value_error": "{given} {error}",
    "string_too_short": "is empty",
    "string_too_long": "{given} is longer than {max_length} signs",
    "too_short": "has {actual_length} entries; allowed: at least {min_length}",
    "too_long": "has {actual_length} entries; allowed: at most {max_length}",
}
"""What is said of other mistakes, by pydantic's name of each."""


def _said(
    model: type[BaseModel], location: Location, error: Any, refused: Callable[[Location], Set[str]]
) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        *above, key = _steps(location)
        here = tuple(above)
        if isinstance(error["input"], dict) and here[:1] == ("points",):
            return f'unknown key; a point of a part stands in quotes: [points."{here[-1]}.{key}"]'
        allowed = [name for name in _allowed(model, here) if name not in refused(here)]
        return f"unknown key; allowed: {', '.join(allowed)}"
    shown = _shown(location, error["input"])
    if kind == "string_pattern_mismatch":
        return f"{shown} is not of the form {SAID.get(context['pattern'], context['pattern'])}"
    if kind in SENTENCES:
        return SENTENCES[kind].format_map({"given": shown, **context})
    return f"{shown} is not {error['msg'].removeprefix('Input should be ')}"


def _shown(location: tuple[int | str, ...], given: object) -> str:
    """What was given, but no secret: mistakes are logged, and told to who asks an agent to reload."""
    if SECRETS & set(location[-2:]):
        return "what is given"
    return LOGIN.sub("//…@", _short.repr(given))


def _allowed(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand at a place of a model."""
    here: Any = model
    for step in location:
        if isinstance(here, type) and issubclass(here, BaseModel):
            names = {f.alias or n: f.annotation for n, f in here.model_fields.items()}
            here = names.get(str(step))
        elif typing.get_origin(here) in (dict, list):
            here = typing.get_args(here)[-1]
        here = _model_in(here)
    if isinstance(here, type) and issubclass(here, BaseModel):
        return sorted(f.alias or n for n, f in here.model_fields.items())
    return []


def _model_in(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        models = [
            a
            for a in typing.get_args(annotation)
            if isinstance(a, type) and issubclass(a, BaseModel)
        ]
        return models[0] if models else annotation
    return annotation
