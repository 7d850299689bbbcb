"""Readers of other protocols, which installed packages bring: known by name, imported only where they read."""

from importlib.metadata import EntryPoint, entry_points
from typing import Final

GROUP: Final = "steward.readers"


def installed_readers() -> dict[str, EntryPoint]:
    """Name of each to where it is."""
    return {found.name: found for found in entry_points(group=GROUP)}


def package_of(found: EntryPoint) -> str:
    """The package that brings it, with its version."""
    return f"{found.dist.name} {found.dist.version}" if found.dist else found.module
