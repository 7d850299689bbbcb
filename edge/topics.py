"""Who listens to which MQTT topic: found without asking every filter about every message."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, TypeVar

Row = TypeVar("Row")

TOPICS_KNOWN_MAX: Final = 20_000
"""Topics of which it is remembered who listens to them by a wildcard."""


class Listeners(Generic[Row]):
    """Rows by topic filter. One of a filter without wildcards is found at once, others are sought once a topic."""

    def __init__(self) -> None:
        self._exact: dict[str, list[Row]] = {}
        self._wild: dict[str, list[Row]] = {}
        self._known: dict[str, tuple[Row, ...]] = {}

    def filters(self) -> Iterator[str]:
        """Every filter that somebody listens by."""
        yield from self._exact
        yield from self._wild

    def add(self, topic_filter: str, row: Row) -> None:
        """From now on the row listens by this filter too."""
        rows = self._wild if has_wildcard(topic_filter) else self._exact
        rows.setdefault(topic_filter, []).append(row)
        if rows is self._wild:
            self._known.clear()

    def remove(self, gone: Callable[[Row], bool]) -> None:
        """Rows that are so listen no longer."""
        self._exact, self._wild = _without(self._exact, gone), _without(self._wild, gone)
        self._known.clear()

    def of(self, topic: str) -> Sequence[Row]:
        """Rows with a filter that covers the topic."""
        exact = self._exact.get(topic, ())
        if not self._wild:
            return exact
        known = self._known.get(topic)
        if known is None:
            known = tuple(row for f, rows in self._wild.items() if matches(f, topic) for row in rows)  # fmt: skip
            if len(self._known) >= TOPICS_KNOWN_MAX:
                self._known.clear()
            self._known[topic] = known
        return (*exact, *known)


def _without(listening: dict[str, list[Row]], gone: Callable[[Row], bool]) -> dict[str, list[Row]]:
    left = {f: [row for row in rows if not gone(row)] for f, rows in listening.items()}
    return {f: rows for f, rows in left.items() if rows}


def has_wildcard(topic_filter: str) -> bool:
    """Whether it may cover more than the topic of its own name."""
    return "+" in topic_filter or "#" in topic_filter


def matches(topic_filter: str, topic: str) -> bool:
    """Whether an MQTT topic filter (`+` one level, a last `#` any number) covers a topic."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted, given = wanted[:-1], given[: len(wanted) - 1]
    return len(wanted) == len(given) and all(
        w in ("+", g) for w, g in zip(wanted, given, strict=True)
    )
