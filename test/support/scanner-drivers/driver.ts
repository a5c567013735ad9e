// Sends each line of standard input with the scanner client and prints what becomes of it; driver.py does the same.
// usage: driver SOCKET MAX_BYTES
import { createInterface } from "node:readline";
import { Scanner, ScannerError } from "../../../src/scanner/index.ts";

const [socket = "", maxBytes = ""] = process.argv.slice(2);
let output: string[] = [];
let peak = 0;
let started = 0;

function print(line: object): void {
  if (output.push(JSON.stringify(line)) === 1) setImmediate(flush);
}

function flush(): void {
  process.stdout.write(`${output.join("\n")}\n`);
  output = [];
}

const scanner = new Scanner({
  socket,
  maxBytes: Number(maxBytes),
  onProblem: ({ code }) => print({ problem: code }),
});
let n = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const index = n++;
  started ||= performance.now();
  await scanner.ready();
  scanner.send(JSON.parse(line)).then(
    (ack) => print({ n: index, ack }),
    (error) => {
      if (!(error instanceof ScannerError)) throw error;
      const { name, code, message } = error;
      print({ n: index, error: { name, code, message } });
    },
  );
  peak = Math.max(peak, scanner.unacked);
}
await scanner.close();
print({ closed: true, ms: performance.now() - started, peak });
