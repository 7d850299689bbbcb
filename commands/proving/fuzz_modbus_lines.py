"""Lines for the fuzzer of Modbus, in virtual time: connections in memory, and a serial port on a pseudo-terminal."""

import asyncio
import fcntl
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, TypeVarTuple

from config.clock import VirtualLoop

Args = TypeVarTuple("Args")
LOOK_S: Final = 1e-5
REQUEST_BYTES: Final = 8
PASSES_S_MAX: Final = 5.0
READ_BYTES: Final = 4096


class Devices(Protocol):
    """The far end of a line."""

    def asked(self, written: bytes) -> None:
        """A request was written."""
        ...


class FuzzedLoop(VirtualLoop):
    """A virtual loop from which only `devices` are reached, however the transport connects.

    What they say goes to the newest connection, whichever they were asked by, as through a transparent gateway.
    """

    def __init__(self) -> None:
        self._looks = 0
        super().__init__()
        self.devices: Devices | None = None
        self.crash = ""
        self._wire: _MemoryWire | None = None
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Every look at the clock takes a moment: who waits by looking must not wait for ever."""
        self._looks += 1
        return super().time() + self._looks * LOOK_S

    async def create_connection(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        """What `host:port` would be, whoever asks."""
        if self.devices is None:
            raise ConnectionRefusedError("no devices")
        protocol = protocol_factory()
        wire = self._wire = _MemoryWire(self, protocol, self.devices)
        protocol.connection_made(wire)
        return wire, protocol

    def deliver(self, chunk: bytes) -> bool:
        """Bytes of the devices; False where nobody hears them."""
        return self._wire is not None and self._wire.deliver(chunk)

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.crash = self.crash or f"{context['message']}: {context.get('exception')!r}"


class _MemoryWire(asyncio.Transport):
    """One connection of the transport under test; what it writes is a request to the devices."""

    def __init__(self, loop: FuzzedLoop, protocol: Any, devices: Devices) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._devices = devices
        self._open = True

    def write(self, data: Any) -> None:
        if self._open:
            self._devices.asked(bytes(data))

    def deliver(self, chunk: bytes) -> bool:
        if self._open:
            self._protocol.data_received(chunk)
            return True
        return False

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        return not self._open

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class PortLoop(FuzzedLoop):
    """A loop with one serial port, `path`: a pseudo-terminal, which is opened, written and read as any port is.

    When the port can be read and written the loop says itself, once bytes are through: the kernel passes them
    on a moment later, in which virtual time would have jumped to the next time-out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        self.path = os.ttyname(self._near)
        self._read: Callable[[], object] | None = None
        self._writing: asyncio.Handle | None = None

    def deliver(self, chunk: bytes) -> bool:
        if self._read is None:
            return False
        os.write(self._far, chunk)
        _wait_for(self._near, len(chunk))
        while self._hear():
            pass
        return True

    def add_reader(self, fd: Any, callback: Callable[[*Args], Any], *args: *Args) -> None:
        """Called when the port is opened; there is nothing else to read."""
        self._read = partial(callback, *args)

    def remove_reader(self, fd: Any) -> bool:
        self._read = None
        return True

    def add_writer(self, fd: Any, callback: Callable[[*Args], Any], *args: *Args) -> None:
        """A port takes all that there is to be written."""
        self._writing = self.call_soon(self._write, partial(callback, *args))

    def remove_writer(self, fd: Any) -> bool:
        if self._writing is not None:
            self._writing.cancel()
        return True

    def close(self) -> None:
        super().close()
        for end in (self._far, self._near):
            os.close(end)

    def _hear(self) -> bool:
        """Whether the port had something to read, and read it."""
        if self._read is None or not _readable_bytes(self._near):
            return False
        self._read()
        return True

    def _write(self, callback: Callable[[], object]) -> None:
        callback()
        _wait_for(self._far, REQUEST_BYTES)
        if self.devices is not None:
            self.devices.asked(os.read(self._far, READ_BYTES))


def _wait_for(end: int, size: int) -> None:
    """Until so many bytes came through, in real time."""
    deadline = time.monotonic() + PASSES_S_MAX
    while _readable_bytes(end) < size:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{size} bytes did not come through the pseudo-terminal")
        select.select([end], [], [], PASSES_S_MAX)


def _readable_bytes(end: int) -> int:
    return int.from_bytes(fcntl.ioctl(end, termios.FIONREAD, bytes(4)), sys.byteorder)
