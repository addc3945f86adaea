"""A TCP proxy that misbehaves: stands between a session and a server, and hurts the answers of the first connections."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field


@dataclass
class Fault:
    """What happens to an answer: after `at` bytes it is reset, ended, stalled, trickled or slow, `times` connections long.

    The first `spared` connections are left alone.
    """

    kind: str
    at: int = 0
    times: int = 1
    spared: int = 0


@dataclass
class TcpProxy:
    """Where it listens, and how many connections it hurt."""

    fault: Fault
    target_port: int
    url: str = ""
    seen: int = 0
    hurt: int = 0
    hits: int = 0
    """Connections on which so many bytes came that the fault happened."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        is_hurt = self.hurt < self.fault.times and self.seen >= self.fault.spared
        self.seen += 1
        self.hurt += is_hurt
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        upload = asyncio.create_task(_pump(reader, upstream_writer))
        try:
            if is_hurt:
                await self._hurt(upstream_reader, writer)
            else:
                await _pump(upstream_reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            upload.cancel()
            for end in (writer, upstream_writer):
                end.close()

    async def _hurt(self, answer: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed = 0
        while passed < self.fault.at and (data := await answer.read(self.fault.at - passed)):
            writer.write(data)
            await writer.drain()
            passed += len(data)
        self.hits += passed == self.fault.at
        if self.fault.kind == "reset":
            linger = struct.pack("ii", 1, 0)  # close() then sends RST
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        elif self.fault.kind == "stall":
            await asyncio.Event().wait()
        elif self.fault.kind == "trickle":
            while data := await answer.read(1):
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(0.02)

        elif self.fault.kind == "latency":
            while data := await answer.read(1500):
                await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def between(fault: Fault, target_port: int) -> AsyncIterator[TcpProxy]:
    proxy = TcpProxy(fault, target_port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for task in proxy._tasks:
            task.cancel()
        await asyncio.gather(*proxy._tasks, return_exceptions=True)
        await server.wait_closed()


@contextmanager
def running_between(fault: Fault, target_port: int) -> Iterator[TcpProxy]:
    """Run the proxy in a thread of its own, for those who bring their own event loop."""
    loop, started, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    proxies: list[TcpProxy] = []

    async def serve() -> None:
        async with between(fault, target_port) as proxy:
            proxies.append(proxy)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(10)
    try:
        yield proxies[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
