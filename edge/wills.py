"""What MQTT devices, or their brokers for them, say of being there: topic by topic, device by device."""

from collections.abc import Iterable
from dataclasses import dataclass

from config.plant import Device
from config.profile import Availability
from edge.device_messages import DeviceMessage
from edge.payloads import word_at


@dataclass(frozen=True, slots=True)
class Said:
    """One device said that it is there, or its broker that it no longer is."""

    device: str
    online: bool


class Wills:
    """Which devices are known to be away. A word that the profile does not know says nothing."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[str, str, Availability]] = {}
        self._away: set[str] = set()

    @property
    def filters(self) -> frozenset[str]:
        """Topic filters by which they speak."""
        return frozenset(topic_filter for topic_filter, _, _ in self._of.values())

    def expect(self, device: Device, availability: Availability) -> None:
        """From now on this device is known by its will; may be called again."""
        topic_filter = availability.topic.replace("{unit}", device.unit)
        self._of[device.id] = (topic_filter, device.unit, availability)

    def heard(self, message: DeviceMessage) -> list[Said]:
        """What the message changes."""
        found = [said for said in self._said(message) if said.online is (said.device in self._away)]
        for said in found:
            (self._away.discard if said.online else self._away.add)(said.device)
        return found

    def _said(self, message: DeviceMessage) -> Iterable[Said]:
        for device, (topic_filter, unit, availability) in self._of.items():
            if matches(topic_filter, message.topic):
                word = word_at(message.payload, availability.path, unit)
                if word in (availability.online, availability.offline):
                    yield Said(device, word == availability.online)

    def away(self, device: str) -> bool:
        """Whether the last word was that it is not there."""
        return device in self._away

    def forget(self, device: str) -> None:
        """Its definition has changed."""
        self._of.pop(device, None)
        self._away.discard(device)


def matches(topic_filter: str, topic: str) -> bool:
    """Whether an MQTT topic filter (`+` one level, a last `#` any number) covers a topic."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted, given = wanted[:-1], given[: len(wanted) - 1]
    return len(wanted) == len(given) and all(
        w in ("+", g) for w, g in zip(wanted, given, strict=True)
    )
