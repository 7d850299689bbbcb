"""Messages that could not be heard because hearing them failed in us: counted, and said once of each device and kind."""

import logging
from typing import Final

log = logging.getLogger(__name__)

TOLD_MAX: Final = 1_000


class Faults:
    """`last` is the last failure, None while there was none."""

    def __init__(self) -> None:
        self.last: Exception | None = None
        self._count = 0
        self._told: set[tuple[str, str, type[Exception]]] = set()
        """Device, or of a will none and its topic; what it was."""

    def add(self, device: str, who: str, topic: str, error: Exception) -> None:
        """A message on `topic` failed for `who`, a point of `device` or, of none, a will."""
        self._count += 1
        self.last = error
        told = device, "" if device else topic, type(error)
        if (
            told not in self._told and len(self._told) < TOLD_MAX
        ):  # a device may say it a thousand times
            self._told.add(told)
            log.error("%s: a message on %s could not be heard", who, topic, exc_info=error)

    def forget(self, device: str) -> None:
        """It is read by another definition from now on, and so may be its will."""
        self._told = {told for told in self._told if told[0] not in (device, "")}

    def words(self) -> list[str]:
        """For a person; empty where there was none."""
        return [f"{self._count} times a message could not be heard, see the log"] if self._count else []  # fmt: skip
