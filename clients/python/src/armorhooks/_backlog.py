"""The events that a scanner client keeps until they are acked. Knows nothing of sockets, threads or loops."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar, Union

from ._events import Ack, EventLine, EventRefusedError, ScannerError, bad_answer, parse_ack

WINDOW_EVENTS = 4096
"""So many may be on the way at once: enough to keep the daemon's batches full."""
WINDOW_BYTES = 1024 * 1024
MIN_DELAY = 0.05
MAX_DELAY = 5.0
MAX_ANSWER = 64 * 1024
"""No ack is near as long; what is says no newline because it is no daemon of ours."""


class Waiter(Protocol):
    """The part that both kinds of futures have; a cancelled one is not waited for any more."""

    def cancelled(self) -> bool: ...


W = TypeVar("W", bound=Waiter)


class Entry(Generic[W]):
    """An event on its way, until it is settled."""

    __slots__ = ("data", "id", "waiter")

    def __init__(self, line: EventLine, waiter: W) -> None:
        self.id = line.id
        self.data = line.data
        self.waiter = waiter


Settled = tuple[W, Union[Ack, ScannerError]]


class Backlog(Generic[W]):
    """Keeps each event in one of three places, and always in the order in which they were given.

    On the way: written, not answered. Again: answered with ``UNAVAILABLE``; nothing new is written until it has
    been tried again. Waiting: not written.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._on_the_way: deque[Entry[W]] = deque()
        self._again: list[Entry[W]] = []
        self._waiting: deque[Entry[W]] = deque()
        self._bytes_on_the_way = 0
        self._bytes = 0
        self._unfinished = b""
        self.failures = 0
        """Since the last ack."""
        self.refusal: ScannerError | None = None
        """What the daemon said last, if that was ``UNAVAILABLE``."""

    @property
    def size(self) -> int:
        """Events that are kept, those that nobody waits for included."""
        return len(self._on_the_way) + len(self._again) + len(self._waiting)

    @property
    def must_rest(self) -> bool:
        """Whether all that was written is answered, some of it with ``UNAVAILABLE``."""
        return bool(self._again) and not self._on_the_way

    def has_room(self, bytes: int) -> bool:
        """One event always has room, so that a small limit cannot make an event impossible."""
        if self._bytes == 0 or self._bytes + bytes <= self.max_bytes:
            return True
        self._waiting = self._wanted(self._waiting)
        return self._bytes + bytes <= self.max_bytes

    def add(self, entry: Entry[W]) -> None:
        self._waiting.append(entry)
        self._bytes += len(entry.data)

    def take(self) -> bytes:
        """The lines to write now, which are on the way from then on."""
        lines: list[bytes] = []
        if self._again:
            return b""
        while self._waiting and len(self._on_the_way) < WINDOW_EVENTS and self._bytes_on_the_way < WINDOW_BYTES:
            entry = self._waiting.popleft()
            if entry.waiter.cancelled():
                self._bytes -= len(entry.data)
                continue
            self._on_the_way.append(entry)
            self._bytes_on_the_way += len(entry.data)
            lines.append(entry.data)
        return b"".join(lines)

    def read(self, data: bytes, settled: list[Settled[W]]) -> None:
        """Takes what the daemon wrote and adds what that settles. Raises ScannerError when it is no ack, or one too many."""
        lines = (self._unfinished + data).split(b"\n")
        self._unfinished = lines.pop()
        for line in lines:
            self._answer(line, settled)
        if len(self._unfinished) > MAX_ANSWER:
            raise bad_answer(self._unfinished)

    def _answer(self, line: bytes, settled: list[Settled[W]]) -> None:
        answer = parse_ack(line)
        refusal = answer if isinstance(answer, ScannerError) and answer.code == "UNAVAILABLE" else None
        self.refusal = refusal
        if not self._on_the_way:
            # The daemon says so once, unasked, to a connection that it does not take.
            raise refusal or bad_answer(line)
        entry = self._on_the_way.popleft()
        self._bytes_on_the_way -= len(entry.data)
        if refusal and not entry.waiter.cancelled():
            self._again.append(entry)
            return
        self._bytes -= len(entry.data)
        if isinstance(answer, ScannerError):
            if not refusal:
                settled.append((entry.waiter, EventRefusedError(str(answer), answer.code, entry.id)))
            return
        self.failures = 0
        settled.append((entry.waiter, answer))

    def rewind(self) -> None:
        """All that was written and not stored waits again, before what was not written."""
        self._waiting = self._wanted([*self._again, *self._on_the_way, *self._waiting])
        self._again = []
        self._on_the_way.clear()
        self._bytes_on_the_way = 0

    def lost(self) -> None:
        """The connection is gone, and with it the half of an ack that may have come."""
        self._unfinished = b""
        self.refusal = None
        self.rewind()

    def reject_all(self, error: ScannerError, settled: list[Settled[W]]) -> None:
        """Settles all that is left with an error."""
        self.lost()
        settled.extend((entry.waiter, error) for entry in self._waiting)
        self._waiting.clear()
        self._bytes = 0

    def next_delay(self) -> float:
        """Seconds until the next try; longer after each failure in a row, and never the same for all clients."""
        delay = min(MAX_DELAY, MIN_DELAY * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return delay * random.uniform(0.5, 1.0)

    def _wanted(self, entries: Iterable[Entry[W]]) -> deque[Entry[W]]:
        kept: deque[Entry[W]] = deque()
        for entry in entries:
            if entry.waiter.cancelled():
                self._bytes -= len(entry.data)
            else:
                kept.append(entry)
        return kept


def check_options(socket: object, max_bytes: float | None) -> None:
    if not isinstance(socket, str) or not socket:
        raise ValueError("socket must be the path of the daemon's socket")
    if not isinstance(max_bytes, (int, float)) or not max_bytes > 0:
        raise ValueError("max_bytes must be a number over 0")
