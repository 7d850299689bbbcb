"""Devices that publish by MQTT: what they say is handed over once and acknowledged by the broker."""

import asyncio
import threading
from collections.abc import Iterable

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

RECONNECT_S_MAX = 5
KEEPALIVE_S = 30


class MqttDevices:
    """One connection of one or more devices to their broker; it comes back by itself for ever."""

    def __init__(
        self, host: str, port: int, *, client_id: str, user: str = "", password: str = ""
    ) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        if user:
            self._client.username_pw_set(user, password)
        self._client.reconnect_delay_set(1, RECONNECT_S_MAX)
        self._client.max_inflight_messages_set(100)
        self._where = (host, port)
        self._said = 0
        self._taken = 0
        self._moved = threading.Event()
        self._client.on_publish = self._on_taken

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._client.connect_async(*self._where, keepalive=KEEPALIVE_S)
        self._client.loop_start()

    def _on_taken(self, *_: object) -> None:
        self._taken += 1
        self._moved.set()

    @property
    def is_connected(self) -> bool:
        """Whether the broker takes what is said at once; what waited for it may come behind what is said just then."""
        return self._client.is_connected()

    def publish(self, said: Iterable[tuple[str, bytes]], *, qos: int = 1) -> None:
        """Hand over payloads; without a connection they wait for the next one."""
        for topic, payload in said:
            self._said += 1
            self._client.publish(topic, payload, qos)

    @property
    def unacknowledged(self) -> int:
        """Payloads that the broker has not taken yet."""
        return self._said - self._taken

    async def drain(self, timeout_s: float) -> bool:
        """Wait until the broker has taken everything; False after `timeout_s` real seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while self.unacknowledged:
            if loop.time() > deadline:
                return False
            self._moved.clear()
            await asyncio.to_thread(self._moved.wait, 0.2)
        return True

    async def close(self) -> None:
        """Say good-bye and end the thread; may be called twice."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
