"""The scanner client for asyncio."""

from __future__ import annotations

import asyncio
import os
from types import TracebackType
from typing import Callable

from ._backlog import Backlog, Entry, Settled, check_options
from ._events import Ack, AnyEvent, ScannerError, closed, lost, to_line, unacked

DEFAULT_MAX_BYTES = 64 * 1024 * 1024


class AsyncScanner:
    """As Scanner, for one asyncio loop: the one in which the first event is sent."""

    def __init__(
        self,
        socket: str | os.PathLike[str],
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        on_problem: Callable[[ScannerError, float], None] | None = None,
    ) -> None:
        self._path = os.fspath(socket)
        check_options(self._path, max_bytes)
        self._on_problem = on_problem
        self._backlog: Backlog[asyncio.Future[Ack]] = Backlog(max_bytes)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: asyncio.Transport | None = None
        self._worker: asyncio.Task[None] | None = None
        # What its coroutines wait for: each is told of every change and looks again.
        self._waiters: list[asyncio.Future[None]] = []
        self._gone: asyncio.Future[ScannerError] | None = None
        self._choked = False
        self._resting = False
        self._scheduled = False
        self._closed = False

    @property
    def unacked(self) -> int:
        """Events that were given and are not acked."""
        return self._backlog.size

    async def send(self, event: AnyEvent) -> Ack:
        """Returns once the event is on the daemon's disk; waits for room first while too much is unacked.

        Raises EventRefusedError when the daemon refuses the event, ScannerClosedError when the client is closed.
        Cancelling it, as ``asyncio.wait_for`` does, ends the waiting, not the event: it may be stored or not.
        """
        line = to_line(event)
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("this AsyncScanner belongs to another event loop")
        while not self._closed and not self._backlog.has_room(len(line.data)):
            await self._change()
        if self._closed:
            raise closed()
        future: asyncio.Future[Ack] = loop.create_future()
        self._backlog.add(Entry(line, future))
        if self._worker is None:
            self._worker = loop.create_task(self._work())
        if not self._scheduled:
            # All events of one turn are written at once.
            self._scheduled = True
            loop.call_soon(self._flush)
        return await future

    async def close(self, timeout: float | None = None) -> None:
        """Takes no more events, waits for the last ack and closes the connection.

        After ``timeout`` seconds raises ScannerTimeoutError; what is then unacked ends with ScannerClosedError.
        """
        self._closed = True
        self._notify()
        left = 0
        try:
            await asyncio.wait_for(self._until_empty(), timeout)
        except asyncio.TimeoutError:
            left = self._backlog.size
        settled: list[Settled[asyncio.Future[Ack]]] = []
        self._backlog.reject_all(closed(), settled)
        _settle(settled)
        await self._stop()
        if left:
            raise unacked(left, timeout)

    async def __aenter__(self) -> AsyncScanner:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # ── waiting ────────────────────────────────────────────────────────────────────────────────────────

    async def _change(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _notify(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _until_empty(self) -> None:
        while self._backlog.size > 0:
            await self._change()

    # ── the connection ─────────────────────────────────────────────────────────────────────────────────

    async def _work(self) -> None:
        """Connects while there is something to send, for as long as the client lives."""
        while True:
            while self._backlog.size == 0:
                await self._change()
            problem = await self._converse()
            problem = self._backlog.refusal or problem
            self._backlog.lost()
            self._notify()
            if self._backlog.size > 0:
                delay = self._backlog.next_delay()
                self._report(problem, delay)
                await asyncio.sleep(delay)

    async def _converse(self) -> ScannerError:
        """One connection, from its start to its end; answers why it ended."""
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[ScannerError] = loop.create_future()
        self._gone = gone
        self._choked = self._resting = False
        try:
            transport, _ = await loop.create_unix_connection(lambda: _Connection(self), self._path)
        except OSError as error:
            return lost(self._path, error)
        self._transport = transport
        try:
            self._flush()
            return await gone
        finally:
            self._transport = None
            transport.close()

    async def _stop(self) -> None:
        if self._worker is None:
            return
        self._worker.cancel()
        try:
            await self._worker
        except asyncio.CancelledError:
            pass  # Asked for just above.
        self._worker = None

    def _flush(self) -> None:
        self._scheduled = False
        if self._transport is None:
            # The worker may be waiting for something to do.
            self._notify()
        elif not self._choked and not self._resting:
            data = self._backlog.take()
            if data:
                self._transport.write(data)

    def _receive(self, data: bytes) -> None:
        settled: list[Settled[asyncio.Future[Ack]]] = []
        try:
            self._backlog.read(data, settled)
        except ScannerError as error:
            self._lose(error)
        _settle(settled)
        self._notify()
        if self._backlog.must_rest and not self._resting:
            self._rest()
        else:
            self._flush()

    def _rest(self) -> None:
        """The daemon answers, but cannot store: the connection stays, the events are tried again."""
        self._resting = True
        delay = self._backlog.next_delay()
        self._report(self._backlog.refusal or lost(self._path, None), delay)
        asyncio.get_running_loop().call_later(delay, self._go_on, self._transport)

    def _go_on(self, transport: asyncio.Transport | None) -> None:
        if transport is not self._transport:
            return
        self._backlog.rewind()
        self._resting = False
        self._flush()

    def _lose(self, error: ScannerError) -> None:
        if self._gone and not self._gone.done():
            self._gone.set_result(error)

    def _report(self, problem: ScannerError, delay: float) -> None:
        if self._on_problem:
            self._on_problem(problem, delay)


class _Connection(asyncio.Protocol):
    def __init__(self, scanner: AsyncScanner) -> None:
        self._scanner = scanner

    def data_received(self, data: bytes) -> None:
        self._scanner._receive(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._scanner._lose(lost(self._scanner._path, error))

    def pause_writing(self) -> None:
        self._scanner._choked = True

    def resume_writing(self) -> None:
        self._scanner._choked = False
        self._scanner._flush()


def _settle(settled: list[Settled[asyncio.Future[Ack]]]) -> None:
    for future, outcome in settled:
        if future.done():
            continue  # Its caller gave up waiting in this moment.
        if isinstance(outcome, ScannerError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
