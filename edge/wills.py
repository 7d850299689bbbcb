"""What MQTT devices, or their brokers for them, say of being there: topic by topic, device by device."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from config.plant import Device
from config.profile import Availability
from edge.device_messages import DeviceMessage
from edge.payloads import word_at
from edge.topics import Listeners


@dataclass(frozen=True, slots=True)
class Said:
    """One device said that it is there, or its broker that it no longer is."""

    device: str
    online: bool


@dataclass(frozen=True, slots=True)
class _Will:
    device: str
    unit: str
    availability: Availability


class Wills:
    """Which devices are known to be away. A word that the profile does not know says nothing."""

    def __init__(self) -> None:
        self._of: dict[str, _Will] = {}
        self._listening = Listeners[_Will]()
        self._away: set[str] = set()

    def filters(self) -> Iterator[str]:
        """Topic filters by which they speak."""
        return self._listening.filters()

    def expect(self, device: Device, availability: Availability) -> str:
        """From now on this device is known by its will; may be called again.

        Returns the topic filter of what it may have said already, "" if that was expected before.
        """
        will = _Will(device.id, device.unit, availability)
        if self._of.get(device.id) == will:
            return ""
        self.forget(device.id)
        self._of[device.id] = will
        topic_filter = availability.topic.replace("{unit}", device.unit)
        self._listening.add(topic_filter, will)
        return topic_filter

    def heard(self, message: DeviceMessage) -> list[Said]:
        """What the message changes."""
        found = [said for said in self._said(message) if said.online is (said.device in self._away)]
        for said in found:
            (self._away.discard if said.online else self._away.add)(said.device)
        return found

    def _said(self, message: DeviceMessage) -> Iterable[Said]:
        for will in self._listening.of(message.topic):
            word = word_at(message.payload, will.availability.path, will.unit)
            if word in (will.availability.online, will.availability.offline):
                yield Said(will.device, word == will.availability.online)

    def away(self, device: str) -> bool:
        """Whether the last word was that it is not there."""
        return device in self._away

    def forget_words(self) -> None:
        """Nobody is known to be away: what was said meanwhile was not heard."""
        self._away.clear()

    def forget(self, device: str) -> None:
        """Its definition has changed."""
        if self._of.pop(device, None):
            self._listening.remove(lambda will: will.device == device)
        self._away.discard(device)
