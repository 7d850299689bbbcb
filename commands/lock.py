"""`steward lock`: resolves requirements/*.in into pinned, hashed files that name no download host."""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "requirements"
CONSOLE = ROOT / "api" / "console" / "package-lock.json"
EXAMPLE = "lock"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--check", action="store_true", help="only say whether the files are sound")


def run(arguments: argparse.Namespace) -> int:
    """Write the lock files with uv, or check those there are."""
    if arguments.check:
        return check()
    uv = shutil.which("uv")
    if uv is None:
        print("steward lock: uv is needed: pip install uv", file=sys.stderr)
        return 3
    for source in sorted(FOLDER.glob("*.in")):
        options = "-q --universal --python-version 3.11 --generate-hashes --no-emit-index-url"
        subprocess.run(
            [uv, "pip", "compile", *options.split(), str(source), "-o", source.with_suffix(".txt"),
             "--custom-compile-command", "./steward lock"],
            check=True,
        )  # fmt: skip
    return check()


def check() -> int:
    """0 when every package is pinned with hashes and no host is named; else 1, saying where."""
    wrong: list[str] = []
    for path in sorted(FOLDER.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        wrong += [f"{path.name}: names a host" for host in ("http://", "https://") if host in text]
        blocks = text.replace("\\\n", "").splitlines()
        wrong += [f"{path.name}: {line.split()[0]} has no hash" for line in blocks if "==" in line and not line.startswith(("#", " ")) and "--hash=" not in line]  # fmt: skip
    wrong += [f"{CONSOLE.name}: {text}" for text in _wrong_in_npm(json.loads(CONSOLE.read_text(encoding="utf-8")))]  # fmt: skip
    print("\n".join(wrong) or "lock files are pinned, hashed and name no host")
    return 1 if wrong else 0


def _wrong_in_npm(lock: Mapping[str, Any]) -> Iterator[str]:
    """A lock made beside an old `node_modules` lacks other machines' packages; then `npm ci` refuses."""
    names = {path.rpartition("node_modules/")[2] for path in lock["packages"]}
    for path, package in lock["packages"].items():
        if "resolved" in package:
            yield f"{path} names a host"
        if path and "integrity" not in package and not package.get("inBundle"):
            yield f"{path} has no hash"
        for name in package.get("optionalDependencies", ()):
            if name not in names:
                yield f"{path} wants {name}, which is not locked: remove node_modules and the lock, then npm install"


if __name__ == "__main__":
    _parser = argparse.ArgumentParser()
    add(_parser)
    raise SystemExit(run(_parser.parse_args()))
