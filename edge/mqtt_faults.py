"""Messages that could not be heard because hearing them failed in us: counted, and said once of each device and kind."""

import logging

log = logging.getLogger(__name__)


class Faults:
    """`last` is the last failure, None while there was none."""

    def __init__(self) -> None:
        self.last: Exception | None = None
        self._count = 0
        self._told: set[tuple[str, type[Exception]]] = set()

    def add(self, device: str, who: str, topic: str, error: Exception) -> None:
        """A message on `topic` failed for `who`, a point of `device` or, of none, a will."""
        self._count += 1
        self.last = error
        if (device, type(error)) not in self._told:  # a device may say it a thousand times
            self._told.add((device, type(error)))
            log.error("%s: a message on %s could not be heard", who, topic, exc_info=error)

    def forget(self, device: str) -> None:
        """It is read by another definition from now on."""
        self._told = {told for told in self._told if told[0] != device}

    def words(self) -> list[str]:
        """For a person; empty where there was none."""
        return [f"{self._count} times a message could not be heard, see the log"] if self._count else []  # fmt: skip
