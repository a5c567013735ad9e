"""Clients of armorhooks: Scanner and AsyncScanner send scan events to its socket, IndigiArmor calls its API."""

from ._async_scanner import AsyncScanner
from ._events import (
    Ack,
    EventRefusedError,
    ScanEvent,
    ScannerClosedError,
    ScannerError,
    ScannerTimeoutError,
    Signal,
)
from ._scanner import Scanner

__all__ = [
    "Ack",
    "AsyncScanner",
    "EventRefusedError",
    "ScanEvent",
    "Scanner",
    "ScannerClosedError",
    "ScannerError",
    "ScannerTimeoutError",
    "Signal",
]
