"""Sends each line of standard input with a scanner client and prints what becomes of it, as driver.ts does.

usage: driver.py SOCKET MAX_BYTES submit|threads|asyncio
"""

import asyncio
import json
import sys
import threading
import time
from collections import deque
from queue import Queue

from armorhooks import AsyncScanner, Scanner, ScannerError

socket, max_bytes, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
lines = deque()
stop = threading.Event()
noted = 0
peak = 0
started = 0.0


def on_problem(error, delay):
    lines.append(json.dumps({"problem": error.code}))


def report(n, outcome):
    if isinstance(outcome, ScannerError):
        error = {"name": type(outcome).__name__, "code": outcome.code, "message": str(outcome)}
        lines.append(json.dumps({"n": n, "error": error}))
    else:
        # By hand, so that what is timed is the client and not this.
        duplicate = "true" if outcome.duplicate else "false"
        ack = f'{{"id":"{outcome.id}","deliveries":{outcome.deliveries},"duplicate":{duplicate}}}'
        lines.append(f'{{"n":{n},"ack":{ack}}}')


def report_future(n, future):
    report(n, future.exception() or future.result())


def note(scanner):
    global noted, peak, started
    started = started or time.monotonic()
    noted += 1
    if noted % 8 == 0:
        peak = max(peak, scanner.unacked)


def flush_often():
    while not stop.wait(0.01):
        flush()
    flush()


def flush():
    ready = [lines.popleft() for _ in range(len(lines))]
    if ready:
        print("\n".join(ready), flush=True)


def submit():
    with Scanner(socket, max_bytes=max_bytes, on_problem=on_problem) as scanner:
        for n, line in enumerate(sys.stdin):
            note(scanner)
            try:
                scanner.submit(json.loads(line)).add_done_callback(lambda future, n=n: report_future(n, future))
            except ScannerError as error:
                report(n, error)


def threads():
    given = Queue(64)

    def work(scanner):
        for n, line in iter(given.get, None):
            note(scanner)
            try:
                report(n, scanner.send(json.loads(line)))
            except ScannerError as error:
                report(n, error)

    with Scanner(socket, max_bytes=max_bytes, on_problem=on_problem) as scanner:
        workers = [threading.Thread(target=work, args=(scanner,)) for _ in range(16)]
        for worker in workers:
            worker.start()
        for one in enumerate(sys.stdin):
            given.put(one)
        for _ in workers:
            given.put(None)
        for worker in workers:
            worker.join()


async def loop():
    # Not read in the loop, as standard input blocks.
    reader = asyncio.StreamReader(2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    busy = asyncio.Semaphore(2000)

    async def one(scanner, n, line):
        note(scanner)
        try:
            report(n, await scanner.send(json.loads(line)))
        except ScannerError as error:
            report(n, error)
        finally:
            busy.release()

    tasks = []
    async with AsyncScanner(socket, max_bytes=max_bytes, on_problem=on_problem) as scanner:
        n = 0
        while line := await reader.readline():
            await busy.acquire()
            tasks.append(asyncio.ensure_future(one(scanner, n, line)))
            n += 1
        # What waits for room has not been given to the client yet.
        await asyncio.gather(*tasks)


flusher = threading.Thread(target=flush_often)
flusher.start()
if mode == "asyncio":
    asyncio.run(loop())
else:
    (submit if mode == "submit" else threads)()
ms = (time.monotonic() - started) * 1000
stop.set()
flusher.join()
print(json.dumps({"closed": True, "ms": ms, "peak": peak}), flush=True)
