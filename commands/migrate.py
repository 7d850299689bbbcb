"""Bring a ledger to the newest shape: the collector's branch and the desk's, in one transaction."""

from pathlib import Path

from alembic import command
from alembic.config import Config

import api.adapters
import collector.adapters
from collector.adapters.ledger_sql import open_ledger


def migrate(url: str) -> None:
    """Make or upgrade every table of the ledger at `url`; does nothing when it is up to date.

    Raises:
        sqlalchemy.exc.OperationalError: the database cannot be reached.
    """
    engine = open_ledger(url)
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
    engine.dispose()


def _migrations(package: str | None) -> Path:
    if package is None:
        raise RuntimeError("steward is installed without its files")
    return Path(package).parent / "migrations"
