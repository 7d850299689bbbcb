"""`steward openapi`: writes docs/openapi.json, the contract that the checks hold the API to."""

import argparse
import json
from pathlib import Path

from api.adapters.desk_memory import MemoryDesk
from api.app import build_app
from api.auth import ArgonHasher
from api.services import Services
from collector.adapters.memory_ledger import MemoryAsks, MemoryDecisions
from collector.adapters.memory_store import MemoryStore
from collector.live import LiveTable
from config.clock import ScaledClock

TARGET = Path(__file__).parent.parent / "docs" / "openapi.json"
EXAMPLE = "openapi"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument(
        "--check", action="store_true", help="only say whether the file is up to date"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the file, or say whether it is what the API says now."""
    text = contract()
    if not arguments.check:
        TARGET.write_text(text, encoding="utf-8")
        print(f"wrote {TARGET.relative_to(TARGET.parent.parent)}")
        return 0
    same = TARGET.is_file() and TARGET.read_text(encoding="utf-8") == text
    print(
        "docs/openapi.json is up to date"
        if same
        else "docs/openapi.json differs: ./steward openapi"
    )
    return 0 if same else 1


def contract() -> str:
    """What the API says about itself, the same for every installation."""
    services = Services(
        plants={},
        live=LiveTable([]),
        decisions=MemoryDecisions(),
        asks=MemoryAsks(),
        desk=MemoryDesk(),
        store=MemoryStore(),
        clock=ScaledClock(),
        hasher=ArgonHasher(time_cost=1, memory_kib=32),
    )
    schema = build_app(services).openapi()
    return json.dumps(schema, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
