"""What devices published: held between arrival and reading, bounded in number and bytes, counted when it goes."""

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Final, Protocol

from edge.topics import has_wildcard, matches

WAITING_MESSAGES_MAX: Final = 100_000
WAITING_BYTES_MAX: Final = 64_000_000
LATEST_TOPICS_MAX: Final = 20_000
LATEST_BYTES_MAX: Final = 32_000_000
MESSAGE_BYTES: Final = 300
"""What a message takes in memory beside its payload."""


@dataclass(frozen=True, slots=True)
class DeviceMessage:
    """One message as it came: `received_ms` by the wall clock (UTC ms), `received_s` by the monotonic."""

    topic: str
    payload: bytes
    retained: bool
    received_ms: int
    received_s: float
    late: bool = False
    """Heard only after its broker was told to be gone."""

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return len(self.payload) + len(self.topic) + MESSAGE_BYTES


class FeedDown(Exception):
    """The devices' broker is not reachable or refuses us."""


class DeviceFeed(Protocol):
    """Brings what devices publish."""

    async def open(self, filters: frozenset[str]) -> frozenset[str]:
        """Be connected and subscribed to these topic filters; at once if it already is.

        Returns those of them that the broker refuses: nothing comes by them.

        Raises:
            FeedDown: it cannot be. May be called again.
        """
        ...

    def take(self) -> DeviceMessage | None:
        """The oldest message not yet taken; None if there is none. Never waits."""
        ...

    async def close(self) -> None:
        """Give the connection back; may be called twice."""
        ...


class Waiting:
    """Messages in order of arrival; beyond the bounds the oldest go. One thread may add, another take."""

    def __init__(
        self, messages_max: int = WAITING_MESSAGES_MAX, bytes_max: int = WAITING_BYTES_MAX
    ) -> None:
        self.dropped_messages = 0
        """Since the start."""
        self._bounds = (messages_max, bytes_max)
        self._messages: deque[DeviceMessage] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, message: DeviceMessage) -> None:
        """Put it last."""
        with self._lock:
            self._messages.append(message)
            self._bytes += message.size
            while len(self._messages) > self._bounds[0] or self._bytes > self._bounds[1]:
                self._bytes -= self._messages.popleft().size
                self.dropped_messages += 1

    def take(self) -> DeviceMessage | None:
        """The oldest; None if none waits."""
        with self._lock:
            if not self._messages:
                return None
            oldest = self._messages.popleft()
            self._bytes -= oldest.size
        return oldest


class Latest:
    """The last message of each topic. What is beyond the bounds is not remembered, only counted."""

    def __init__(
        self, topics_max: int = LATEST_TOPICS_MAX, bytes_max: int = LATEST_BYTES_MAX
    ) -> None:
        self.forgotten_messages = 0
        """Since the start."""
        self._bounds = (topics_max, bytes_max)
        self._messages: dict[str, DeviceMessage] = {}
        self._bytes = 0

    def repeats(self, message: DeviceMessage) -> bool:
        """Whether this payload was the last of its topic."""
        last = self._messages.get(message.topic)
        return last is not None and last.payload == message.payload

    def keep(self, message: DeviceMessage) -> None:
        """Remember it instead of the last of its topic."""
        last = self._messages.pop(message.topic, None)
        self._bytes -= last.size if last else 0
        if len(self._messages) >= self._bounds[0] or self._bytes + message.size > self._bounds[1]:
            self.forgotten_messages += 1
            return
        self._messages[message.topic] = message
        self._bytes += message.size

    def note_late(self, message: DeviceMessage) -> None:
        """It was heard late, if it is still the last of its topic."""
        if self._messages.get(message.topic) is message:
            self._messages[message.topic] = replace(message, late=True)

    def forget(self, topic_filter: str) -> None:
        """Whatever comes on these topics next is no repeat."""
        for message in self.of(topic_filter):
            self._bytes -= self._messages.pop(message.topic).size

    def of(self, topic_filter: str) -> list[DeviceMessage]:
        """What is remembered of the topics that a filter covers."""
        if not has_wildcard(topic_filter):
            return [self._messages[topic_filter]] if topic_filter in self._messages else []
        return [m for topic, m in self._messages.items() if matches(topic_filter, topic)]
