"""A network inside one virtual loop: servers and clients meet by address, without sockets, and it can fail."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, cast

from config.clock import VirtualLoop

Reach = Literal["open", "refused", "vanished", "taken"]
"""Of an address: it takes connections, refuses them, or nothing comes there and nothing comes back; or
somebody of whom nothing is known listens there."""
Address = tuple[str, int]
EVERYWHERE = "0.0.0.0"  # noqa: S104  # of a network that is none
"""Who listens here is found at every address."""
ASKED_AGAIN_S = 1.0
"""How often a connection is asked for where nothing comes back."""
ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class WiredLoop(VirtualLoop):
    """A virtual loop whose `create_server` and `create_connection` use no sockets.

    What is written arrives in the loop's next round, in order, whole. `resolve` says which address
    a name has now, `reach` how an address stands now; one at which nobody listens refuses.
    """

    def __init__(self) -> None:
        super().__init__()
        self.resolve: Callable[[str], str] = lambda host: host
        self.reach: Callable[[Address], Reach] = lambda address: "open"
        self._listening: dict[Address, ProtocolFactory] = {}

    async def create_server(  # type: ignore[override]  # of the many words only these are known here
        self, protocol_factory: ProtocolFactory, host: str, port: int, **_: Any
    ) -> "WireServer":
        address = (host, port)
        if address in self._listening or self.reach(address) == "taken":
            raise OSError(f"{host}:{port}: address already in use")
        self._listening[address] = protocol_factory
        return WireServer(lambda: self._listening.pop(address, None), address)

    async def create_connection(  # type: ignore[override]  # the same
        self, protocol_factory: ProtocolFactory, host: str, port: int, **_: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        address = (self.resolve(host), port)
        await asyncio.sleep(0)
        while self.reach(address) == "vanished":  # noqa: ASYNC110  for as long as the caller has patience
            await asyncio.sleep(ASKED_AGAIN_S)
        serve = self._listening.get(address) or self._listening.get((EVERYWHERE, port))
        if serve is None or self.reach(address) == "refused":
            raise ConnectionRefusedError(f"connection refused: {host}:{port}")
        near = Wire(self, protocol_factory(), address)
        far = Wire(self, serve(), address)
        near.peer, far.peer = far, near
        far.protocol.connection_made(far)
        near.protocol.connection_made(near)
        return near, near.protocol


class WireServer:
    """What listens at an address; `sockets` only tell where."""

    def __init__(self, end: Callable[[], object], address: Address) -> None:
        self._end = end
        self._address = address

    @property
    def sockets(self) -> tuple["WireServer"]:
        return (self,)

    def getsockname(self) -> Address:
        """Its address."""
        return self._address

    def close(self) -> None:
        self._end()

    async def wait_closed(self) -> None:
        """Nothing is left to wait for."""


class Wire(asyncio.Transport):
    """One end of a connection."""

    peer: "Wire"

    def __init__(self, loop: WiredLoop, protocol: asyncio.BaseProtocol, address: Address) -> None:
        super().__init__({"peername": address, "sockname": address})
        self.protocol = cast("asyncio.Protocol", protocol)
        self._loop = loop
        self._address = address
        self._closing = False
        self._reading = True
        self._waiting: deque[bytes] = deque()
        self._ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing and data:
            self._loop.call_soon(self._carry, self.peer.arrive, bytes(data))

    def close(self) -> None:
        self._part(None)

    def abort(self) -> None:
        self._part(ConnectionResetError("connection reset by peer"))

    def _part(self, why: Exception | None) -> None:
        """Both ends are over; the other one hears `why`, an orderly end without."""
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self.protocol.connection_lost, None)
            self._loop.call_soon(self._carry, self.peer.lose, why)

    def _carry(self, deliver: Callable[[Any], None], what: object) -> None:
        """Hand over to the other end, unless nothing comes through."""
        if self._loop.reach(self._address) != "vanished":
            deliver(what)

    def lose(self, why: Exception | None) -> None:
        """The other end is over; what it had written in good order is read before."""
        if self._waiting and why is None:
            self._ended = True
        elif not self._closing:
            self._closing = True
            self.protocol.connection_lost(why)

    def arrive(self, data: bytes) -> None:
        """The other end has written."""
        if self._closing:
            return
        if self._reading:
            self.protocol.data_received(data)
        else:
            self._waiting.append(data)

    # --- the rest of a transport

    def is_closing(self) -> bool:
        return self._closing

    def is_reading(self) -> bool:
        return self._reading

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        while self._waiting and self._reading:
            self.protocol.data_received(self._waiting.popleft())
        if self._ended and not self._waiting:
            self.lose(None)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = cast("asyncio.Protocol", protocol)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered on the way out."""

    def get_write_buffer_size(self) -> int:
        return 0

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return 0, 0

    def can_write_eof(self) -> bool:
        return False
