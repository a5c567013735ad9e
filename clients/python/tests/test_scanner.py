"""What the conformance tests against the real daemon leave open. Run: python -m unittest discover -s tests"""

import asyncio
import json
import os
import socket
import tempfile
import threading
import time
import unittest
from datetime import datetime, timedelta, timezone

from armorhooks import AsyncScanner, EventRefusedError, Scanner, ScannerClosedError, ScannerTimeoutError

EVENT = {"tier": "red", "action": "block", "risk_score": 85, "signals": []}


class Daemon:
    """A socket that acks every line, from the moment it is opened; ``hold`` keeps it from answering."""

    def __init__(self, path: str) -> None:
        self.seen: list = []
        self.answering = threading.Event()
        self.answering.set()
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(path)
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("r") as stream:
            for line in stream:
                event = json.loads(line)
                self.seen.append(event)
                self.answering.wait()
                ack = {"ok": True, "id": "e-" + event["id"], "deliveries": 1}
                connection.sendall(json.dumps(ack).encode() + b"\n")

    def close(self) -> None:
        self._server.close()


class ScannerTest(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = os.path.join(directory.name, "events.sock")

    def daemon(self) -> Daemon:
        daemon = Daemon(self.path)
        self.addCleanup(daemon.close)
        return daemon

    def test_send_returns_the_ack(self) -> None:
        self.daemon()
        with Scanner(self.path) as scanner:
            ack = scanner.send({**EVENT, "id": "scan-42"})
            self.assertEqual((ack.id, ack.deliveries, ack.duplicate), ("e-scan-42", 1, False))
            self.assertEqual(scanner.unacked, 0)

    def test_only_documented_fields_are_sent(self) -> None:
        daemon = self.daemon()
        signal = {"domain": "pii", "type": "ssn", "confidence": 0.98, "weight": 50}
        time = datetime(2026, 1, 15, 11, tzinfo=timezone(timedelta(hours=1)))
        with Scanner(self.path) as scanner:
            whole = {
                **EVENT,
                "id": "1",
                "prompt": "secret",
                "signals": [{**signal, "match": "secret"}],
                "timestamp": time,
            }
            scanner.send(whole)
        expected = {**EVENT, "id": "1", "signals": [signal], "timestamp": "2026-01-15T11:00:00.000+01:00"}
        self.assertEqual(daemon.seen, [expected])

    def test_what_cannot_be_json_is_refused_with_its_id(self) -> None:
        with Scanner(self.path) as scanner:
            for bad in (float("nan"), object(), b"5"):
                with self.assertRaises(EventRefusedError) as caught:
                    scanner.send({**EVENT, "id": "scan-1", "risk_score": bad})
                self.assertEqual((caught.exception.code, caught.exception.id), ("VALIDATION_ERROR", "scan-1"))
            with self.assertRaises(EventRefusedError):
                scanner.send({**EVENT, "timestamp": datetime(2026, 1, 15)})
            with self.assertRaises(EventRefusedError):
                scanner.send([])  # type: ignore[arg-type]

    def test_send_gives_up_after_its_timeout_and_what_was_not_written_is_not_sent(self) -> None:
        with Scanner(self.path) as scanner:
            with self.assertRaises(ScannerTimeoutError):
                scanner.send({**EVENT, "id": "late"}, timeout=0.05)
            daemon = self.daemon()
            scanner.send({**EVENT, "id": "in time"}, timeout=10)
        self.assertEqual([event["id"] for event in daemon.seen], ["in time"])

    def test_submit_waits_for_room(self) -> None:
        daemon = self.daemon()
        daemon.answering.clear()
        with Scanner(self.path, max_bytes=200) as scanner:
            first = scanner.submit(EVENT)
            with self.assertRaises(ScannerTimeoutError):
                scanner.submit(EVENT, timeout=0.05)
            threading.Timer(0.05, daemon.answering.set).start()
            second = scanner.submit(EVENT, timeout=10)
            self.assertEqual([future.result().deliveries for future in (first, second)], [1, 1])

    def test_a_callback_may_send_more(self) -> None:
        daemon = self.daemon()
        with Scanner(self.path) as scanner:
            done = threading.Event()

            def more(_: object) -> None:
                scanner.submit(EVENT).add_done_callback(lambda _: done.set())

            scanner.submit(EVENT).add_done_callback(more)
            self.assertTrue(done.wait(10))
        self.assertEqual(len(daemon.seen), 2)

    def test_close_with_a_timeout_gives_up(self) -> None:
        scanner = Scanner(self.path)
        future = scanner.submit(EVENT)
        with self.assertRaisesRegex(ScannerTimeoutError, "1 event was not acked within 0.05 s"):
            scanner.close(timeout=0.05)
        self.assertIsInstance(future.exception(), ScannerClosedError)
        scanner.close()
        with self.assertRaises(ScannerClosedError):
            scanner.send(EVENT)

    def test_close_does_not_hang_on_a_daemon_that_takes_no_connection(self) -> None:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(server.close)
        server.bind(self.path)
        server.listen(0)
        others = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(3)]
        for other in others:
            self.addCleanup(other.close)
            other.setblocking(False)
            other.connect_ex(self.path)
        scanner = Scanner(self.path)
        scanner.submit(EVENT)
        started = time.monotonic()
        with self.assertRaises(ScannerTimeoutError):
            scanner.close(timeout=0.2)
        self.assertLess(time.monotonic() - started, 5)

    def test_a_forked_child_sends_on_a_connection_of_its_own(self) -> None:
        daemon = self.daemon()
        with Scanner(self.path) as scanner:
            scanner.send({**EVENT, "id": "parent"})
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    code = 0 if scanner.send({**EVENT, "id": "child"}, timeout=10).id == "e-child" else 2
                finally:
                    os._exit(code)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
            scanner.send({**EVENT, "id": "parent again"})
        self.assertEqual([event["id"] for event in daemon.seen], ["parent", "child", "parent again"])

    def test_options_are_checked(self) -> None:
        for make in (Scanner, AsyncScanner):
            with self.assertRaises(ValueError):
                make("")
            with self.assertRaises(ValueError):
                make(self.path, max_bytes=0)

    def test_asyncio(self) -> None:
        daemon = self.daemon()

        async def main() -> None:
            async with AsyncScanner(self.path) as scanner:
                acks = await asyncio.gather(*(scanner.send({**EVENT, "id": str(n)}) for n in range(50)))
                self.assertEqual([ack.id for ack in acks], [f"e-{n}" for n in range(50)])
            with self.assertRaises(ScannerClosedError):
                await scanner.send(EVENT)

        asyncio.run(main())
        self.assertEqual(len(daemon.seen), 50)

    def test_asyncio_gives_up(self) -> None:
        async def main() -> None:
            scanner = AsyncScanner(self.path)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(scanner.send({**EVENT, "id": "late"}), 0.05)
            daemon = self.daemon()
            await asyncio.wait_for(scanner.send({**EVENT, "id": "in time"}), 10)
            self.assertEqual([event["id"] for event in daemon.seen], ["in time"])
            daemon.answering.clear()
            sending = asyncio.ensure_future(scanner.send(EVENT))
            await asyncio.sleep(0.05)
            with self.assertRaises(ScannerTimeoutError):
                await scanner.close(timeout=0.05)
            with self.assertRaises(ScannerClosedError):
                await sending

        asyncio.run(main())

    def test_asyncio_belongs_to_one_loop(self) -> None:
        self.daemon()
        scanner = AsyncScanner(self.path)

        async def once() -> None:
            await scanner.send(EVENT)

        asyncio.run(once())
        with self.assertRaisesRegex(RuntimeError, "another event loop"):
            asyncio.run(once())


if __name__ == "__main__":
    unittest.main()
