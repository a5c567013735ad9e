"""The API client against a server that answers as the test says. Its methods are checked against the API's document elsewhere."""

import http.server
import json
import threading
import unittest
from datetime import datetime, timezone

from armorhooks import (
    AuthenticationError,
    Filter,
    IndigiArmor,
    IndigiArmorError,
    NotFoundError,
    RateLimitError,
    ValidationError,
)

KEY = "ia_sk_" + "0123456789abcdef" * 3
WEBHOOK = {
    "id": "w-1",
    "url": "https://example.com/hook",
    "events": ["red_tier"],
    "format": "json",
    "enabled": True,
    "failure_count": 0,
    "last_triggered_at": None,
    "created_at": "2026-01-15T10:00:00.000Z",
}


class ApiTest(unittest.TestCase):
    def setUp(self) -> None:
        test = self
        self.seen: list = []
        self.answer: tuple = (200, {}, {"webhook": WEBHOOK})

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                test.seen.append((self.command, self.path, self.headers, json.loads(body) if body else None))
                status, headers, answer = test.answer
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {"x-request-id": "req_header", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_any

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self.armor = IndigiArmor(KEY, base_url=self.url + "/prefix/")

    def failure(self, status: int, body: object, headers: dict) -> IndigiArmorError:
        self.answer = (status, headers, body)
        with self.assertRaises(IndigiArmorError) as caught:
            self.armor.get_webhook("w-1")
        return caught.exception

    def envelope(self, code: str, message: str = "no") -> dict:
        return {"error": {"code": code, "message": message, "request_id": "req_1"}}

    def test_a_request_has_the_key_and_only_what_was_given(self) -> None:
        webhook = self.armor.update_webhook("w/1", name=None, filter=Filter(min_risk_score=80))
        self.assertEqual((webhook.id, webhook.last_triggered_at, webhook.name), ("w-1", None, None))
        method, path, headers, body = self.seen[0]
        self.assertEqual((method, path), ("PATCH", "/prefix/v1/webhooks/w%2F1"))
        self.assertEqual((headers["authorization"], headers["content-type"]), (f"Bearer {KEY}", "application/json"))
        self.assertEqual(body, {"name": None, "filter": {"min_risk_score": 80}})

    def test_times_are_written_with_their_zone(self) -> None:
        self.answer = (202, {}, {"recovered": 3})
        self.assertEqual(self.armor.recover_webhook("w-1", since=datetime(2026, 1, 15, tzinfo=timezone.utc)), 3)
        self.assertEqual(self.seen[0][3], {"since": "2026-01-15T00:00:00+00:00"})
        with self.assertRaises(IndigiArmorError):
            self.armor.recover_webhook("w-1", since=datetime(2026, 1, 15))

    def test_the_secret_is_not_printed(self) -> None:
        self.answer = (201, {}, {"webhook": {**WEBHOOK, "secret": "a1b2c3"}})
        webhook = self.armor.create_webhook("https://example.com/hook")
        self.assertEqual(webhook.secret, "a1b2c3")
        self.assertNotIn("a1b2c3", repr(webhook))
        self.assertNotIn(KEY, repr(self.armor))

    def test_a_field_of_a_later_version_is_no_error(self) -> None:
        self.answer = (200, {}, {"webhook": {**WEBHOOK, "colour": "blue"}})
        self.assertEqual(self.armor.get_webhook("w-1").url, WEBHOOK["url"])

    def test_errors_have_their_class_code_and_request(self) -> None:
        for status, kind in (
            (400, ValidationError),
            (401, AuthenticationError),
            (404, NotFoundError),
            (413, ValidationError),
        ):
            error = self.failure(status, self.envelope("SOME_CODE", "url must be https"), {})
            self.assertIs(type(error), kind)
            self.assertEqual((error.code, error.status, error.request_id), ("SOME_CODE", status, "req_1"))
            self.assertEqual(str(error), "url must be https")
        self.assertIs(type(self.failure(409, self.envelope("CONFLICT"), {})), IndigiArmorError)

    def test_a_rate_limit_says_when_to_come_again(self) -> None:
        error = self.failure(429, self.envelope("RATE_LIMIT_EXCEEDED", "too many"), {"retry-after": "7"})
        self.assertIsInstance(error, RateLimitError)
        self.assertEqual((getattr(error, "retry_after"), str(error)), (7, "too many (try again in 7 s)"))

    def test_what_is_not_from_the_api_says_so(self) -> None:
        for status, body, code in (
            (200, b"<html>", "INVALID_RESPONSE"),
            (200, {"webhook": []}, "INVALID_RESPONSE"),
            (200, {"other": 1}, "INVALID_RESPONSE"),
            (404, b"not found", "INVALID_RESPONSE"),
            (502, b"bad gateway", "SERVICE_UNAVAILABLE"),
            (302, b"", "UNEXPECTED_REDIRECT"),
        ):
            error = self.failure(status, body, {"location": "http://127.0.0.1:1/"})
            self.assertEqual((error.code, error.status), (code, status))
            self.assertIs(type(error), IndigiArmorError)

    def test_an_echoed_key_is_not_in_the_error(self) -> None:
        self.assertNotIn(KEY, str(self.failure(400, self.envelope("VALIDATION_ERROR", f"header Bearer {KEY}"), {})))

    def test_nobody_there_and_nobody_answering(self) -> None:
        with self.assertRaises(IndigiArmorError) as caught:
            IndigiArmor(KEY, base_url="http://127.0.0.1:9").list_webhooks()
        self.assertEqual((caught.exception.code, caught.exception.status), ("NETWORK_ERROR", None))
        silent = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        self.addCleanup(silent.server_close)
        with self.assertRaises(IndigiArmorError) as caught:
            IndigiArmor(KEY, base_url=f"http://127.0.0.1:{silent.server_address[1]}", timeout=0.1).list_webhooks()
        self.assertEqual(caught.exception.code, "TIMEOUT")

    def test_the_stream_is_read_message_by_message_and_its_end_is_an_error(self) -> None:
        text = (
            b': hello\n\nevent: attempt\ndata: {"number":1}\n\n: heartbeat\n\nevent: delivery\ndata: {"id":"d-1"}\n\n'
        )
        self.answer = (200, {"content-type": "text/event-stream"}, text)
        stream = self.armor.stream()
        self.assertEqual(
            [(one.type, one.data) for one in (next(stream), next(stream))],
            [("attempt", {"number": 1}), ("delivery", {"id": "d-1"})],
        )
        with self.assertRaises(IndigiArmorError) as caught:
            next(stream)
        self.assertEqual(caught.exception.code, "NETWORK_ERROR")
        self.answer = (401, {}, self.envelope("AUTHENTICATION_ERROR"))
        with self.assertRaises(AuthenticationError):
            next(self.armor.stream())

    def test_arguments_that_cannot_be_are_refused_here(self) -> None:
        for id in ("", ".", ".."):
            with self.assertRaises(ValidationError):
                self.armor.get_webhook(id)
        for make in (
            lambda: IndigiArmor(""),
            lambda: IndigiArmor("key\r\nx: y"),
            lambda: IndigiArmor(KEY, base_url="ftp://example.com"),
            lambda: IndigiArmor(KEY, base_url="https://user:password@example.com"),
            lambda: IndigiArmor(KEY, timeout=0),
        ):
            with self.assertRaises(IndigiArmorError) as caught:
                make()
            self.assertEqual(caught.exception.code, "INVALID_ARGUMENT")
        self.assertEqual(self.seen, [])


if __name__ == "__main__":
    unittest.main()
