"""What the API answers, as it names it. Times are ISO 8601 in UTC; None stands for null and for what is left out."""

# Not `from __future__ import annotations` with `X | None`: the hints are read at run time, by Python 3.9 too.

import sys
from dataclasses import dataclass, field, fields, is_dataclass
from typing import (
    Any,
    Dict,
    List,
    Literal,
    Mapping,
    Optional,
    Type,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

EventType = Literal["red_tier", "yellow_tier", "green_tier"]
Format = Literal["json", "slack", "teams", "discord", "pagerduty"]
Tier = Literal["green", "yellow", "red"]
Action = Literal["allow", "flag", "block"]
DeliveryStatus = Literal["pending", "delivered", "failed"]


@dataclass(frozen=True)
class Filter:
    """Which events a webhook gets: those that pass every part that is given."""

    min_risk_score: Optional[float] = None
    actions: Optional[List[Action]] = None
    domains: Optional[List[str]] = None


@dataclass(frozen=True)
class Webhook:
    """A registered target."""

    id: str
    url: str
    events: List[EventType]
    format: Format
    enabled: bool
    failure_count: int
    last_triggered_at: Optional[str]
    created_at: str
    name: Optional[str] = None
    filter: Optional[Filter] = None
    rate_limit_per_minute: Optional[int] = None
    group: Optional[bool] = None
    headers: Optional[Dict[str, str]] = None
    """Names of the fields that its requests carry; each value is ``***``."""
    disabled_reason: Optional[Literal["attempts_exhausted", "gone", "rejected"]] = None


@dataclass(frozen=True)
class WebhookWithSecret(Webhook):
    """A webhook with its signing secret, which is shown here and never again."""

    secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class TestResult:
    """The outcome of a test request; ``status`` is None when the target could not be reached."""

    success: bool
    status: Optional[int] = None
    error: Optional[str] = None


@dataclass(frozen=True)
class Delivery:
    """One event on its way to one webhook."""

    id: str
    webhook_id: str
    event_id: str
    event: EventType
    status: DeliveryStatus
    attempt_count: int
    next_attempt_at: Optional[str]
    last_status: Optional[int]
    last_error: Optional[str]
    created_at: str
    finished_at: Optional[str]


@dataclass(frozen=True)
class Attempt:
    """One POST of a delivery; ``number`` counts from 1, ``status`` is None when no answer came."""

    number: int
    started_at: str
    duration_ms: int
    status: Optional[int]
    error: Optional[str]
    detail: Optional[str]
    response_excerpt: Optional[str]


@dataclass(frozen=True)
class PayloadSignal:
    """What a scan found; ``confidence`` is 0 to 1."""

    domain: str
    type: str
    confidence: float
    weight: float


@dataclass(frozen=True)
class Payload:
    """The body that a webhook receives."""

    event: EventType
    tier: Tier
    action: Action
    risk_score: float
    signals: List[PayloadSignal]
    latency_ms: float
    timestamp: str


@dataclass(frozen=True)
class DeliveryDetail(Delivery):
    """A delivery with what is sent and every attempt so far."""

    payload: Payload
    attempts: List[Attempt]


@dataclass(frozen=True)
class DeliveryPage:
    """Deliveries, newest first; ``next_cursor`` is None on the last page, and only then: one before may be short."""

    deliveries: List[Delivery]
    next_cursor: Optional[str]


@dataclass(frozen=True)
class Event:
    """A stored scan event; ``external_id`` is the scanner's, ``deliveries`` how many it has."""

    id: str
    external_id: Optional[str]
    event: EventType
    received_at: str
    payload: Payload
    deliveries: int


@dataclass(frozen=True)
class EventPage:
    """Events, newest first; ``next_cursor`` is None on the last page."""

    events: List[Event]
    next_cursor: Optional[str]


@dataclass(frozen=True)
class EventDetail:
    """An event and its delivery to each webhook."""

    event: Event
    deliveries: List[Delivery]


@dataclass(frozen=True)
class StatisticsPoint:
    """One step: attempts made, deliveries that ended, and how long attempts took; None without any."""

    at: str
    attempts: int
    delivered: int
    failed: int
    p50_ms: Optional[int]
    p99_ms: Optional[int]


@dataclass(frozen=True)
class WebhookStatistics:
    """One webhook's points, one for each step, without gaps."""

    webhook_id: str
    points: List[StatisticsPoint]


# `from` is a word of the language, so that field has another name here.
_NAMES = {"from_": "from"}


@dataclass(frozen=True)
class Statistics:
    """What came of each webhook's requests between ``from_`` and ``to``."""

    from_: str
    to: str
    step_seconds: int
    webhooks: List[WebhookStatistics]


@dataclass(frozen=True)
class Outcome:
    """An outcome as it was written: ``type`` says of what kind, ``data`` is what the API's document lists for it."""

    type: str
    data: Dict[str, Any]


T = TypeVar("T")


def decode(kind: Type[T], value: Any) -> T:
    """Makes an object of what the API answered; fields that this version does not know are left out."""
    return _decode(kind, value)  # type: ignore[no-any-return]


def _decode(hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin is Union:
        inner = [one for one in get_args(hint) if one is not type(None)]
        return None if value is None else _decode(inner[0], value)
    if origin is list:
        return [_decode(get_args(hint)[0], one) for one in value]
    if is_dataclass(hint) and isinstance(hint, type):
        return _decode_object(hint, value)
    return value


_hints: Dict[type, Dict[str, Any]] = {}


def _decode_object(kind: type, value: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{kind.__name__} is not an object")
    hints = _hints.setdefault(kind, get_type_hints(kind, vars(sys.modules[__name__])))
    given = ((one.name, _NAMES.get(one.name, one.name)) for one in fields(kind))
    return kind(**{name: _decode(hints[name], value[key]) for name, key in given if key in value})
