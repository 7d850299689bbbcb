"""Bring a ledger to the newest shape: the collector's branch and the desk's, in one transaction."""

import argparse
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

import api.adapters
import collector.adapters
from collector.adapters.ledger_sql import open_ledger
from collector.ports import Unavailable
from config.settings import read_settings

EXAMPLE = "migrate"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("--url", default="", help="an SQLAlchemy URL (default: STEWARD_LEDGER, else the data folder)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """0 when the ledger has the newest shape, 3 when it cannot be reached."""
    settings = read_settings()
    url = arguments.url or settings.ledger or f"sqlite:///{settings.data / 'ledger.db'}"
    migrate(url)
    print("the ledger has the newest shape")
    return 0


def migrate(url: str) -> None:
    """Make or upgrade every table of the ledger at `url`; does nothing when it is up to date.

    Raises:
        Unavailable: the database cannot be reached.
    """
    engine = open_ledger(url)
    try:
        _upgrade(engine)
    except OperationalError as error:
        raise Unavailable(f"the ledger cannot be reached: {error.orig}") from error
    finally:
        engine.dispose()


def _upgrade(engine: Engine) -> None:
    config = Config()
    home = _migrations(collector.adapters.__file__)
    config.set_main_option("script_location", str(home).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    branches = [home / "versions", _migrations(api.adapters.__file__) / "versions"]
    there = [str(branch).replace("%", "%%") for branch in branches if branch.is_dir()]
    config.set_main_option("version_locations", "\n".join(there))
    with engine.execution_options(writing=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "heads")


def _migrations(package: str | None) -> Path:
    if package is None:
        raise RuntimeError("steward is installed without its files")
    return Path(package).parent / "migrations"
