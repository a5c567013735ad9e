"""The client of the HTTP API."""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, Union
from urllib.parse import quote, urlencode, urlsplit

from ._api_errors import IndigiArmorError, ValidationError, error_from_answer, foreign_answer
from ._models import (
    Action,
    Delivery,
    DeliveryDetail,
    DeliveryPage,
    DeliveryStatus,
    EventDetail,
    EventPage,
    EventType,
    Filter,
    Format,
    Outcome,
    Statistics,
    TestResult,
    Tier,
    Webhook,
    WebhookWithSecret,
    decode,
)

T = TypeVar("T")
Moment = Union[str, datetime]
FilterInput = Union[Filter, Mapping[str, Any]]


class Unset:
    """Stands for an argument that was not given: None is sent as null, which takes an optional field off."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()
_HEARTBEAT_SECONDS = 15


class IndigiArmor:
    """The armorhooks API: each method makes one request and raises IndigiArmorError or a subclass.

    ``timeout`` is in seconds, for each step of a call (default 30); ``ssl_context`` is for a private PKI. May be used
    from several threads at once. Redirects are not followed, proxies of the environment are not used.
    """

    def __init__(
        self,
        key: str,
        *,
        base_url: str = "http://127.0.0.1:8787",
        timeout: float = 30.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        trimmed = key.strip() if isinstance(key, str) else ""
        # What a header cannot carry would end up, with the key, in another error's message.
        if not re.fullmatch(r"[\x21-\x7e]+", trimmed):
            raise _invalid("The API key is empty or has characters that no key has: pass it as ia_sk_…")
        url = urlsplit(base_url if isinstance(base_url, str) else "")
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
            raise _invalid("base_url must be an http or https URL without user, query or fragment")
        if not timeout > 0:
            raise _invalid("timeout must be a number of seconds over 0")
        self._key = trimmed
        self._url = url
        self._timeout = timeout
        self._ssl_context = ssl_context

    def create_webhook(
        self,
        url: str,
        *,
        events: Sequence[EventType] | Unset = UNSET,
        format: Format | Unset = UNSET,
        name: str | None | Unset = UNSET,
        filter: FilterInput | None | Unset = UNSET,
        rate_limit_per_minute: int | None | Unset = UNSET,
        group: bool | None | Unset = UNSET,
        headers: Mapping[str, str] | None | Unset = UNSET,
    ) -> WebhookWithSecret:
        """Registers a webhook; keep the ``secret`` of the answer, it is not shown again."""
        body = _given(
            url=url,
            events=events,
            format=format,
            name=name,
            filter=filter,
            rate_limit_per_minute=rate_limit_per_minute,
            group=group,
            headers=headers,
        )
        return self._call(WebhookWithSecret, "POST", "/v1/webhooks", "webhook", body=body)

    def list_webhooks(self) -> list[Webhook]:
        """All webhooks of the organization, newest first."""
        return self._call(list[Webhook], "GET", "/v1/webhooks", "webhooks")

    def get_webhook(self, id: str) -> Webhook:
        """One webhook."""
        return self._call(Webhook, "GET", _webhook(id), "webhook")

    def update_webhook(
        self,
        id: str,
        *,
        url: str | Unset = UNSET,
        events: Sequence[EventType] | Unset = UNSET,
        format: Format | Unset = UNSET,
        enabled: bool | Unset = UNSET,
        name: str | None | Unset = UNSET,
        filter: FilterInput | None | Unset = UNSET,
        rate_limit_per_minute: int | None | Unset = UNSET,
        group: bool | None | Unset = UNSET,
        headers: Mapping[str, str] | None | Unset = UNSET,
    ) -> Webhook:
        """Changes the given fields, None takes one off; ``enabled=True`` also sets ``failure_count`` to 0."""
        body = _given(
            url=url,
            events=events,
            format=format,
            enabled=enabled,
            name=name,
            filter=filter,
            rate_limit_per_minute=rate_limit_per_minute,
            group=group,
            headers=headers,
        )
        return self._call(Webhook, "PATCH", _webhook(id), "webhook", body=body)

    def delete_webhook(self, id: str) -> bool:
        """Removes a webhook and ends its pending deliveries."""
        return self._call(bool, "DELETE", _webhook(id), "deleted")

    def test_webhook(self, id: str) -> TestResult:
        """Sends a signed test request; answers ``success=False`` when the target does not answer with 2xx."""
        return self._call(TestResult, "POST", _webhook(id) + "/test", None)

    def rotate_secret(self, id: str, *, overlap_seconds: int | Unset = UNSET) -> WebhookWithSecret:
        """Gives a new secret; the old one signs too for ``overlap_seconds`` (0 to 604800, default 86400)."""
        body = _given(overlap_seconds=overlap_seconds)
        return self._call(WebhookWithSecret, "POST", _webhook(id) + "/rotate-secret", "webhook", body=body)

    def recover_webhook(self, id: str, *, since: Moment, until: Moment | Unset = UNSET) -> int:
        """Sends again what never reached the webhook between ``since`` and ``until`` (default now); says how many."""
        body = _given(since=since, until=until)
        return self._call(int, "POST", _webhook(id) + "/recover", "recovered", body=body)

    def list_deliveries(
        self,
        webhook_id: str,
        *,
        status: DeliveryStatus | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> DeliveryPage:
        """One page of a webhook's deliveries, newest first; ``limit`` is 1 to 100 (default 50)."""
        query = {"status": status, "limit": limit, "cursor": cursor}
        return self._call(DeliveryPage, "GET", _webhook(webhook_id) + "/deliveries", None, query=query)

    def get_delivery(self, id: str) -> DeliveryDetail:
        """One delivery with its payload and attempts."""
        return self._call(DeliveryDetail, "GET", _delivery(id), "delivery")

    def retry_delivery(self, id: str) -> Delivery:
        """Makes a delivery due now, with a fresh budget of attempts."""
        return self._call(Delivery, "POST", _delivery(id) + "/retry", "delivery")

    def list_events(
        self,
        *,
        tier: Tier | None = None,
        external_id: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> EventPage:
        """One page of events, newest first, also those that nobody subscribed to; ``external_id`` is the scanner's."""
        query = {"tier": tier, "external_id": external_id, "limit": limit, "cursor": cursor}
        return self._call(EventPage, "GET", "/v1/events", None, query=query)

    def get_event(self, id: str) -> EventDetail:
        """One event, and its delivery to each webhook."""
        return self._call(EventDetail, "GET", "/v1/events/" + _encode(id), None)

    def get_statistics(self, *, webhook_id: str | None = None, minutes: int | None = None) -> Statistics:
        """What came of each webhook's requests over the latest ``minutes`` (1 to 1440, default 60)."""
        return self._call(Statistics, "GET", "/v1/stats", None, query={"webhook_id": webhook_id, "minutes": minutes})

    def stream(self) -> Iterator[Outcome]:
        """Outcomes as they are written, without end; raises when the connection is lost. Close it to stop reading."""
        # The daemon says something every 15 s: who says nothing for long is gone.
        connection, answer = self._open("GET", "/v1/stream", None, 3 * _HEARTBEAT_SECONDS)
        try:
            if answer.status != 200:
                raise self._error(answer, self._read(answer))
            event, data = "message", ""
            while True:
                line = self._read_line(answer)
                name, _, value = line.partition(":")
                if name == "event":
                    event = value.strip()
                elif name == "data":
                    data += value.strip()
                elif line == "":
                    if data:
                        yield Outcome(event, json.loads(data))
                    event, data = "message", ""
        finally:
            connection.close()

    # ── the exchange ───────────────────────────────────────────────────────────────────────────────────

    def _call(
        self,
        kind: type[T],
        method: str,
        path: str,
        field: str | None,
        *,
        query: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> T:
        """Makes one request; answers what is in ``field`` of the answer, or all of it."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        connection, answer = self._open(method, path + ("?" + urlencode(given) if given else ""), body, self._timeout)
        try:
            text = self._read(answer)
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            raise self._error(answer, text)
        parsed = _parse(text)
        try:
            return decode(kind, parsed if field is None else parsed[field])
        except (KeyError, TypeError) as error:
            raise foreign_answer(answer.status, answer.headers.get("x-request-id")) from error

    def _open(
        self, method: str, path: str, body: Mapping[str, object] | None, timeout: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        host, port = self._url.hostname or "", self._url.port
        connection: http.client.HTTPConnection
        if self._url.scheme == "https":
            connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=self._ssl_context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
        headers = {"accept": "application/json", "authorization": f"Bearer {self._key}"}
        if body is not None:
            headers["content-type"] = "application/json"
        data = None if body is None else json.dumps(body, default=_plain).encode()
        try:
            connection.request(method, self._url.path.rstrip("/") + path, data, headers)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._failure(error) from error

    def _read(self, answer: http.client.HTTPResponse) -> str:
        try:
            return answer.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(error) from error

    def _read_line(self, answer: http.client.HTTPResponse) -> str:
        try:
            line = answer.readline()
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(error) from error
        if not line:
            raise self._failure(ConnectionError("the daemon ended the stream"))
        return line.decode("utf-8", "replace").rstrip("\r\n")

    def _failure(self, error: Exception) -> IndigiArmorError:
        if isinstance(error, TimeoutError) or type(error).__name__ == "timeout":
            message = f"No answer within {self._timeout} s: check that the daemon is not overloaded, or raise timeout"
            return IndigiArmorError(message, "TIMEOUT")
        where = f"{self._url.scheme}://{self._url.netloc}"
        message = f"Cannot reach {where} ({error}): check base_url and that the daemon is running"
        return IndigiArmorError(message, "NETWORK_ERROR")

    def _error(self, answer: http.client.HTTPResponse, text: str) -> IndigiArmorError:
        # A debugging proxy may echo the request's headers in its error.
        body = _parse(text.replace(self._key, "[key]"))
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return error_from_answer(answer.status, headers, body)


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if not isinstance(value, Unset)}


def _plain(value: object) -> object:
    """What JSON has no form for: a moment in time, and a filter."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise _invalid("a time must have a time zone")
        return value.isoformat()
    if isinstance(value, Filter):
        return {name: part for name, part in vars(value).items() if part is not None}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise _invalid(f"{value!r} cannot be written as JSON")


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _webhook(id: str) -> str:
    return "/v1/webhooks/" + _encode(id)


def _delivery(id: str) -> str:
    return "/v1/deliveries/" + _encode(id)


def _encode(id: str) -> str:
    # An empty id, "." and ".." would make the URL that of another route.
    if isinstance(id, str) and id not in ("", ".", ".."):
        return quote(id, safe="")
    raise ValidationError("id must be the id of a webhook, delivery or event", "VALIDATION_ERROR")


def _invalid(message: str) -> IndigiArmorError:
    return IndigiArmorError(message, "INVALID_ARGUMENT")


__all__ = ["UNSET", "Action", "IndigiArmor", "Unset"]
