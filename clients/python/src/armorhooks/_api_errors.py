"""The errors of the API client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class IndigiArmorError(Exception):
    """Every failure of the API client.

    ``code`` is the API's code, or one of the client's own: ``NETWORK_ERROR``, ``TIMEOUT``, ``INVALID_RESPONSE``,
    ``UNEXPECTED_REDIRECT``, ``SERVICE_UNAVAILABLE``, ``INVALID_ARGUMENT``. ``status`` is the HTTP status, or None when
    no answer arrived; ``request_id`` names the request in the daemon's log: quote it to its operator.
    """

    def __init__(self, message: str, code: str, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.request_id = request_id


class AuthenticationError(IndigiArmorError):
    """401: the key is missing, unknown, disabled or expired."""


class ValidationError(IndigiArmorError):
    """400, 413 or 415, or an id that cannot be one (then ``status`` is None): nothing was changed."""


class NotFoundError(IndigiArmorError):
    """404: no such webhook, delivery or event in the key's organization."""


class RateLimitError(IndigiArmorError):
    """429: over the key's rate limit; the same call may be made again after ``retry_after`` seconds."""

    retry_after: int = 60


_CLASSES = {
    400: ValidationError,
    401: AuthenticationError,
    404: NotFoundError,
    413: ValidationError,
    415: ValidationError,
}


def error_from_answer(status: int, headers: Mapping[str, str], body: Any) -> IndigiArmorError:
    """The error for an answer that is not 2xx; ``body`` is its parsed JSON, or None if it was not JSON."""
    if 300 <= status < 400:
        message = "The API answered with a redirect: set base_url to the address that it redirects to"
        return IndigiArmorError(message, "UNEXPECTED_REDIRECT", status)
    error = body.get("error") if isinstance(body, dict) else None
    known = isinstance(error, dict) and isinstance(error.get("code"), str) and isinstance(error.get("message"), str)
    request_id = (error or {}).get("request_id") if known else headers.get("x-request-id")
    if status == 429:
        after = next((headers[n] for n in ("retry-after", "x-ratelimit-reset") if headers.get(n, "").isdigit()), "60")
        text = error["message"] if known and error else "Too many requests"
        limited = RateLimitError(f"{text} (try again in {after} s)", "RATE_LIMIT_EXCEEDED", status, request_id)
        limited.retry_after = int(after)
        return limited
    if not known or not error:
        return foreign_answer(status, request_id)
    kind = _CLASSES.get(status, IndigiArmorError)
    return kind(error["message"] + _advice(status, error["code"]), error["code"], status, request_id)


def foreign_answer(status: int, request_id: str | None) -> IndigiArmorError:
    """The error for an answer that the API does not give, as from a proxy or another server."""
    if status >= 500:
        message = f"The API is not available (HTTP {status}): try again later, or ask its operator"
        return IndigiArmorError(message, "SERVICE_UNAVAILABLE", status, request_id)
    message = f"The answer (HTTP {status}) is not from the armorhooks API: check base_url"
    return IndigiArmorError(message, "INVALID_RESPONSE", status, request_id)


def _advice(status: int, code: str) -> str:
    if code == "FEATURE_NOT_AVAILABLE":
        return " (ask the operator for a plan that includes it)"
    return " (try again later; if it stays, give the operator the request id)" if status >= 500 else ""
