"""Scan events as they go over the socket, and the errors of the scanner clients."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Union

if sys.version_info >= (3, 11):
    from typing import Literal, NotRequired, TypedDict
else:  # Without typing_extensions, which would be a dependency, all keys are optional to a type checker.
    from typing import Literal, TypedDict

MAX_LINE_BYTES = 256 * 1024
"""What the daemon takes as one line, its newline not counted."""


class Signal(TypedDict):
    """What a scan found; ``confidence`` is 0 to 1."""

    domain: str
    type: str
    confidence: float
    weight: float


if sys.version_info >= (3, 11):

    class ScanEvent(TypedDict):
        """One scan result. Only these fields are sent, so a whole scan result may be passed."""

        tier: Literal["green", "yellow", "red"]
        action: Literal["allow", "flag", "block"]
        risk_score: float
        signals: NotRequired[Sequence[Signal]]
        latency_ms: NotRequired[float]
        timestamp: NotRequired[str | datetime]
        id: NotRequired[str]
        organization_id: NotRequired[str]

else:

    class ScanEvent(TypedDict, total=False):
        """One scan result. Only these fields are sent, so a whole scan result may be passed."""

        tier: Literal["green", "yellow", "red"]
        action: Literal["allow", "flag", "block"]
        risk_score: float
        signals: Sequence[Signal]
        latency_ms: float
        timestamp: str | datetime
        id: str
        organization_id: str


AnyEvent = Union[ScanEvent, Mapping[str, Any]]


@dataclass(frozen=True)
class Ack:
    """What the daemon says of an event that it has on disk."""

    id: str
    """The event's id in the daemon, which receivers get as ``webhook-id``."""
    deliveries: int
    """To how many webhooks it goes."""
    duplicate: bool = False
    """The same ``id`` was stored before: nothing was stored or sent this time."""


class ScannerError(Exception):
    """Every failure of the scanner clients; ``code`` says which."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class EventRefusedError(ScannerError):
    """The daemon refuses this event, and would again; the other events are not touched.

    ``code`` is ``VALIDATION_ERROR`` (the message names the field), ``PAYLOAD_TOO_LARGE`` (over 256 KiB) or
    ``NOT_FOUND`` (no such organization); ``id`` is the event's own id.
    """

    def __init__(self, message: str, code: str, id: str) -> None:
        super().__init__(message, code)
        self.id = id


class ScannerClosedError(ScannerError):
    """``CLOSED``: the client was closed; what was still unacked may have been stored or not."""


class ScannerTimeoutError(ScannerError):
    """``TIMEOUT``: waiting was given up; what was written already may have been stored or not."""


@dataclass(frozen=True)
class EventLine:
    """An event as JSON with its newline."""

    id: str
    data: bytes


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_SIGNAL_FIELDS = ("domain", "type", "confidence", "weight")
_EVENT_FIELDS = ("organization_id", "tier", "action", "risk_score", "latency_ms")


def to_line(event: AnyEvent) -> EventLine:
    """Raises EventRefusedError for what cannot be a line; what its fields hold is for the daemon to judge."""
    if not isinstance(event, Mapping):
        raise EventRefusedError("an event must be a mapping", "VALIDATION_ERROR", "")
    given = event.get("id")
    id = str(uuid.uuid4()) if given is None else given
    given_fields: Mapping[str, Any] = event
    fields = {name: given_fields[name] for name in _EVENT_FIELDS if name in given_fields}
    fields["id"] = id
    try:
        if "signals" in event:
            fields["signals"] = _documented(event["signals"])
        if "timestamp" in event:
            fields["timestamp"] = _timestamp(event["timestamp"])
        data = _encode(fields).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        message = f"the event cannot be written as JSON: {error}"
        raise EventRefusedError(message, "VALIDATION_ERROR", str(id)) from error
    if len(data) - 1 > MAX_LINE_BYTES:
        message = (
            f"an event must have at most {MAX_LINE_BYTES // 1024} KiB as JSON, this one has {len(data) // 1024} KiB"
        )
        raise EventRefusedError(message, "PAYLOAD_TOO_LARGE", str(id))
    return EventLine(str(id), data)


def _documented(signals: Any) -> Any:
    """Signals without what else a scanner knows of them, such as the text that was found."""
    if not isinstance(signals, (list, tuple)):
        return signals
    return [
        {name: signal[name] for name in _SIGNAL_FIELDS if name in signal} if isinstance(signal, Mapping) else signal
        for signal in signals
    ]


def _timestamp(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError("timestamp must have a time zone")
    return value.isoformat(timespec="milliseconds")


def parse_ack(line: bytes) -> Ack | ScannerError:
    """An ack, or the error that the daemon answered; raises ScannerError for what is neither."""
    try:
        answer = json.loads(line)
        if answer["ok"] is True:
            return Ack(_text(answer["id"]), int(answer["deliveries"]), answer.get("duplicate", False) is True)
        return ScannerError(_text(answer["error"]["message"]), _text(answer["error"]["code"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise bad_answer(line) from error


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError("not a text")


def bad_answer(line: bytes) -> ScannerError:
    return ScannerError(f"not an answer of armorhooks: {line[:100]!r}", "BAD_ANSWER")


def lost(path: str, cause: BaseException | None) -> ScannerError:
    reason = f": {cause}" if cause else ""
    error = ScannerError(f"no connection to the daemon at {path}{reason}", "CONNECTION_LOST")
    error.__cause__ = cause
    return error


def closed() -> ScannerClosedError:
    return ScannerClosedError("the scanner client is closed", "CLOSED")


def unacked(count: int, timeout: float | None) -> ScannerTimeoutError:
    what = "1 event was" if count == 1 else f"{count} events were"
    return ScannerTimeoutError(f"{what} not acked within {timeout} s", "TIMEOUT")
