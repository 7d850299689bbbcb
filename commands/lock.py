"""`steward lock`: resolves requirements/*.in into pinned, hashed files that name no download host."""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "requirements"
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
    print("\n".join(wrong) or "lock files are pinned, hashed and name no host")
    return 1 if wrong else 0


if __name__ == "__main__":
    _parser = argparse.ArgumentParser()
    add(_parser)
    raise SystemExit(run(_parser.parse_args()))
