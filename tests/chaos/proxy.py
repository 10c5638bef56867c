"""The network between the processes: TCP links that break in the ways that networks do.

All links of a `Network` live in one asyncio loop on a thread of its own; the methods of a link may
be called from any thread and return when they have taken effect.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

PIECE_BYTES = 64 * 1024
CONTROL_LIMIT_S = 10.0
# Where a link leads: a loopback port, or the path of a unix socket.
Place = int | str


class Network:
    """The loop that all links run in."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._links: list[Link] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._thread.start()

    def link(self, to: Place) -> "Link":
        """A link to a server of this machine; it passes everything on until it is asked not to."""
        made = Link(self, to)
        self._links.append(made)
        self.run(made.open())
        return made

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry out `work` in the loop and wait for its end."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(CONTROL_LIMIT_S)

    def close(self) -> None:
        """End all links and the loop."""
        for link in self._links:
            self.run(link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CONTROL_LIMIT_S)
        self._loop.close()


class _Pair:
    """One connection: the end at the client and the end at the server."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near, self.far = near, far
        self.is_silent = False

    def reset(self) -> None:
        """Let both ends see a reset instead of an end when they are closed."""
        for end in (self.near, self.far):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Link:
    """A proxy in front of one server, with the faults of a network; `heal` ends those that end."""

    def __init__(self, network: Network, to: Place) -> None:
        self._network = network
        self._to = to
        self._refuses = self._swallows = self._slices = False
        self._delay_s = 0.0
        self._passes = asyncio.Event()
        self._passes.set()
        self._pairs: dict[asyncio.Task[None], _Pair | None] = {}
        self._server = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._server.setblocking(False)
        self.port: int = self._server.getsockname()[1]

    @property
    def connections(self) -> int:
        return len(self._pairs)

    def cut(self, *, reset: bool = True) -> None:
        """End all connections, by a reset or by an orderly end; new ones work."""
        self._network.run(self._cut(reset))

    def refuse(self) -> None:
        """Reset all connections, and every new one at once."""
        self._do(lambda: setattr(self, "_refuses", True))
        self.cut()

    def freeze(self) -> None:
        """Pass nothing on and accept nothing; `heal` lets everything continue where it was."""
        self._do(self._passes.clear)

    def silence(self) -> None:
        """Let the open connections be silent for good, in both directions; new ones work."""
        self._do(self._silence)

    def acknowledge(self) -> None:
        """Accept everything, read everything, answer nothing; what it read is lost for good."""

        def swallow() -> None:
            self._swallows = True
            self._silence()

        self._do(swallow)

    def delay(self, seconds: float) -> None:
        """Hold back each piece in each direction for so long."""
        self._do(lambda: setattr(self, "_delay_s", seconds))

    def slice(self) -> None:
        """Pass on one byte at a time."""
        self._do(lambda: setattr(self, "_slices", True))

    def half_close(self) -> None:
        """End the direction from the server to the client of all open connections."""
        self._do(self._half_close)

    def heal(self) -> None:
        """Pass on everything again; what fell silent stays silent."""
        self._do(self._heal)

    async def open(self) -> None:
        self._accepting = asyncio.create_task(self._accept())

    async def close(self) -> None:
        self._accepting.cancel()
        await self._cut(reset=True)
        self._server.close()

    def _do(self, change: Callable[[], object]) -> None:
        async def work() -> None:
            change()

        self._network.run(work())

    async def _cut(self, reset: bool) -> None:
        ended = list(self._pairs.items())
        for task, pair in ended:
            if reset and pair:
                pair.reset()
            task.cancel()
        await asyncio.gather(*(task for task, _ in ended), return_exceptions=True)

    def _silence(self) -> None:
        for pair in self._open_pairs():
            pair.is_silent = True

    def _half_close(self) -> None:
        for pair in self._open_pairs():
            with suppress(OSError):
                pair.near.shutdown(socket.SHUT_WR)

    def _heal(self) -> None:
        self._refuses = self._swallows = self._slices = False
        self._delay_s = 0.0
        self._passes.set()

    def _open_pairs(self) -> list[_Pair]:
        return [pair for pair in self._pairs.values() if pair]

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            near, _ = await loop.sock_accept(self._server)
            await self._passes.wait()
            task = asyncio.create_task(self._serve(near))
            self._pairs[task] = None
            task.add_done_callback(lambda done: self._pairs.pop(done, None))

    async def _serve(self, near: socket.socket) -> None:
        far = socket.socket(socket.AF_UNIX if isinstance(self._to, str) else socket.AF_INET)
        pair = _Pair(near, far)
        with near, far:
            try:
                await self._connect(pair)
                self._pairs[asyncio.current_task()] = pair  # type: ignore[index]  # it is a task
                # Both have ended before a socket is closed: its number is soon another one's.
                async with asyncio.TaskGroup() as copying:
                    copying.create_task(self._copy(pair, near, far))
                    copying.create_task(self._copy(pair, far, near))
            except* OSError:
                pair.reset()

    async def _connect(self, pair: _Pair) -> None:
        for end in (pair.near, pair.far):
            end.setblocking(False)
            if end.family == socket.AF_INET:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._refuses:
            raise ConnectionRefusedError
        pair.is_silent = self._swallows
        to = self._to if isinstance(self._to, str) else ("127.0.0.1", self._to)
        await asyncio.get_running_loop().sock_connect(pair.far, to)

    async def _copy(self, pair: _Pair, source: socket.socket, sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while piece := await loop.sock_recv(source, PIECE_BYTES):
            await self._passes.wait()
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            if pair.is_silent:
                continue
            if not self._slices:
                await loop.sock_sendall(sink, piece)
                continue
            for byte in piece:
                await loop.sock_sendall(sink, bytes([byte]))
                await asyncio.sleep(0)
        if pair.is_silent:
            return  # nobody learns of the end, either
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
