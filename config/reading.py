"""Reads one TOML file into its strict model and says every mistake in words."""

import re
import reprlib
import tomllib
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from config.files import Strict
from config.mistakes import Mistakes

F = TypeVar("F", bound=Strict)
BYTES_MAX = 4 * 1024 * 1024
SECRETS = frozenset({"password", "key"})
"""Where somebody may have written the secret itself instead of its name."""
LOGIN = re.compile(r"//\S*@")
"""Who logs in, as in rtsp://name:password@host."""
_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 80


def read_file(path: Path, model: type[F], shown: str, mistakes: Mistakes) -> F | None:
    """The file as `model`; None and a mistake for each thing wrong in it. `shown` names the file."""
    raw = _raw(path, shown, mistakes)
    if raw is None:
        return None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            location = tuple(one["loc"])
            mistakes.add(shown, _dotted(location), _said(model, location, one))
        return None


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


def _dotted(location: tuple[int | str, ...]) -> str:
    words: list[str] = []
    for step in location:
        if isinstance(step, int):
            words[-1:] = [f"{words[-1]}[{step}]" if words else f"[{step}]"]
        elif step not in ("[key]",) and not _is_branch(step):
            words.append(step)
    return ".".join(words)


def _is_branch(step: str) -> bool:
    """Steps that pydantic adds for the branch of a union."""
    return step in ("float", "int", "str", "LevelText", "BitText") or step.startswith(
        ("constrained-", "function-")
    )


def _said(model: type[BaseModel], location: tuple[int | str, ...], error: Any) -> str:
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key; allowed: {', '.join(_allowed(model, location[:-1]))}"
    if kind == "missing":
        return "is missing"
    shown = _shown(location, given)
    if kind == "literal_error":
        return f"{shown} is not one of {context['expected']}"
    if kind == "value_error":
        return f"{shown} {context['error']}"
    if kind == "string_pattern_mismatch":
        return f"{shown} is not of the form {context['pattern']}"
    return f"{shown}: {error['msg'][0].lower() + error['msg'][1:]}"


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
