"""The scanner client for threads."""

from __future__ import annotations

import os
import selectors
import socket as sockets
import threading
import time
import weakref
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as NoResultYet
from types import TracebackType
from typing import Callable

from ._backlog import Backlog, Entry, Settled, check_options
from ._events import Ack, AnyEvent, ScannerError, ScannerTimeoutError, closed, lost, to_line, unacked

OnProblem = Callable[[ScannerError, float], None]
"""Told of each failure to reach the daemon, for the log, and in how many seconds the client tries again."""

DEFAULT_MAX_BYTES = 64 * 1024 * 1024


class Scanner:
    """Sends scan events to the daemon's socket; may be used from several threads at once.

    Connects with the first event, and again whenever the connection is lost or the daemon says ``UNAVAILABLE``,
    after 50 ms to 5 s; keeps each event until it is acked, at most ``max_bytes`` of them as JSON, and sends it
    again, in order and with the same ``id``, so that it is stored once. One thread of its own does the work; it
    does not keep the process alive, so ``close`` the client, or use it in a ``with``, to wait for the last ack.
    """

    def __init__(
        self,
        socket: str | os.PathLike[str],
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        on_problem: OnProblem | None = None,
    ) -> None:
        self._path = os.fspath(socket)
        check_options(self._path, max_bytes)
        self._max_bytes = max_bytes
        self._on_problem = on_problem
        self._reset()
        _scanners.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._backlog: Backlog[Future[Ack]] = Backlog(self._max_bytes)
        self._closed = False
        self._stopping = False
        self._asleep = False
        self._parked = False
        self._thread: threading.Thread | None = None
        self._connection: sockets.socket | None = None
        self._waker: sockets.socket | None = None

    @property
    def unacked(self) -> int:
        """Events that were given and are not acked."""
        with self._lock:
            return self._backlog.size

    def send(self, event: AnyEvent, timeout: float | None = None) -> Ack:
        """Returns once the event is on the daemon's disk; waits for room first while too much is unacked.

        Raises EventRefusedError when the daemon refuses the event, ScannerTimeoutError after ``timeout`` seconds
        (then it may be stored or not), ScannerClosedError when the client is closed.
        """
        started = time.monotonic()
        future = self.submit(event, timeout)
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - started))
        try:
            return future.result(left)
        except NoResultYet:
            if future.cancel():
                raise unacked(1, timeout) from None
            return future.result()

    def submit(self, event: AnyEvent, timeout: float | None = None) -> Future[Ack]:
        """Sends without waiting for the ack: that is the future's result. Waits while too much is unacked."""
        line = to_line(event)
        future: Future[Ack] = Future()
        with self._changed:
            if not self._backlog.has_room(len(line.data)) and not self._changed.wait_for(
                lambda: self._closed or self._backlog.has_room(len(line.data)), timeout
            ):
                raise ScannerTimeoutError(f"no room for the event within {timeout} s", "TIMEOUT")
            if self._closed:
                raise closed()
            self._backlog.add(Entry(line, future))
            self._ensure_thread()
            self._wake()
        return future

    def close(self, timeout: float | None = None) -> None:
        """Takes no more events, waits for the last ack and closes the connection.

        After ``timeout`` seconds raises ScannerTimeoutError; what is then unacked ends with ScannerClosedError.
        """
        settled: list[Settled[Future[Ack]]] = []
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            empty = self._changed.wait_for(lambda: self._backlog.size == 0 or self._stopping, timeout)
            left = self._backlog.size
            self._stopping = True
            self._backlog.reject_all(closed(), settled)
            self._changed.notify_all()
            self._wake()
        _settle(settled)
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join()
        if not empty:
            raise unacked(left, timeout)

    def __enter__(self) -> Scanner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ── the thread ─────────────────────────────────────────────────────────────────────────────────────

    def _ensure_thread(self) -> None:
        if self._thread:
            return
        waker, woken = sockets.socketpair()
        waker.setblocking(False)
        self._waker = waker
        self._thread = threading.Thread(target=self._run, args=(woken,), name="armorhooks-scanner", daemon=True)
        self._thread.start()

    def _wake(self) -> None:
        if self._parked:
            self._changed.notify_all()
        elif self._asleep and self._waker:
            self._asleep = False
            self._waker.send(b"w")

    def _run(self, woken: sockets.socket) -> None:
        waker = self._waker
        with woken:
            while self._wait_for_work(woken):
                problem = self._converse(woken)
                with self._lock:
                    problem = self._backlog.refusal or problem
                    self._backlog.lost()
                    if self._stopping or self._backlog.size == 0:
                        continue
                    delay = self._backlog.next_delay()
                self._report(problem, delay)
                self._rest(delay)
        with self._lock:
            self._waker = None
        if waker:
            waker.close()

    def _wait_for_work(self, woken: sockets.socket) -> bool:
        """Sleeps while there is nothing to send; False when the client is closed."""
        with self._changed:
            self._parked = True
            self._changed.wait_for(lambda: self._stopping or self._backlog.size > 0)
            self._parked = False
            return not self._stopping

    def _rest(self, delay: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, delay)

    def _report(self, problem: ScannerError, delay: float) -> None:
        if self._on_problem:
            self._on_problem(problem, delay)

    def _converse(self, woken: sockets.socket) -> ScannerError:
        """One connection, from its start to its end; answers why it ended."""
        connection = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        self._connection = connection
        try:
            with connection, selectors.DefaultSelector() as selector:
                # Not blocking: a daemon that has stopped would hold this thread, and with it `close`.
                connection.setblocking(False)
                connection.connect(self._path)
                selector.register(woken, selectors.EVENT_READ)
                selector.register(connection, selectors.EVENT_READ)
                self._exchange(connection, woken, selector)
            return lost(self._path, None)
        except ScannerError as error:
            return error
        except OSError as error:
            return lost(self._path, error)

    def _exchange(self, connection: sockets.socket, woken: sockets.socket, selector: selectors.BaseSelector) -> None:
        """Writes and reads until the daemon hangs up or the client is closed."""
        output = memoryview(b"")
        while True:
            with self._lock:
                if self._stopping and not output:
                    return
                if not output:
                    output = memoryview(self._backlog.take())
                resting = self._backlog.must_rest
                self._asleep = not output
                delay = self._backlog.next_delay() if resting else None
            if delay is not None:
                self._report(self._backlog.refusal or lost(self._path, None), delay)
                self._rest(delay)
                with self._lock:
                    self._backlog.rewind()
                continue
            if output:
                output = output[_send(connection, output) :]
            interest = selectors.EVENT_READ | (selectors.EVENT_WRITE if output else 0)
            selector.modify(connection, interest)
            # With everything written there may be more to take; what came meanwhile is read all the same.
            for key, _ in selector.select(None if output or self._asleep else 0):
                if key.fileobj is woken:
                    woken.recv(4096)
                elif not self._receive(connection):
                    return

    def _receive(self, connection: sockets.socket) -> bool:
        """Takes what has come; False when the daemon has hung up."""
        try:
            data = connection.recv(256 * 1024)
        except BlockingIOError:
            return True
        settled: list[Settled[Future[Ack]]] = []
        try:
            with self._changed:
                self._backlog.read(data, settled)
        finally:
            _settle(settled)
            with self._changed:
                self._changed.notify_all()
        return bool(data)


def _send(connection: sockets.socket, output: memoryview) -> int:
    try:
        return connection.send(output)
    except BlockingIOError:
        return 0


def _settle(settled: list[Settled[Future[Ack]]]) -> None:
    """Outside the lock, as the callbacks of a future may send more."""
    for future, outcome in settled:
        try:
            if isinstance(outcome, ScannerError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        except InvalidStateError:
            pass  # Its caller gave up waiting in this moment.


_scanners: weakref.WeakSet[Scanner] = weakref.WeakSet()


def _after_fork() -> None:
    """A child has no thread of its parent's, and what is unacked is the parent's to send: it begins anew."""
    for scanner in list(_scanners):
        for inherited in (scanner._connection, scanner._waker):
            if inherited:
                inherited.close()
        scanner._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
