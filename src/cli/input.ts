import { createReadStream, fstatSync, statSync } from "node:fs";
import { messageOf, UsageError } from "../errors.ts";

/** Reading the lines of a file or of standard input. */

const STDIN = 0;

export interface Input {
  input: AsyncIterable<Buffer>;
  /** In bytes; null when it cannot be known beforehand. */
  size: number | null;
}

/** Standard input when no file is named, or "-". Rejects with UsageError. */
export async function openInput(file: string | undefined): Promise<Input> {
  if (file === undefined || file === "-") {
    if (fstatSync(STDIN).isDirectory()) {
      throw new UsageError("cannot read standard input: it is a directory");
    }
    return { input: process.stdin, size: null };
  }
  const stats = statSync(file, { throwIfNoEntry: false });
  // A directory can be opened; only reading it fails.
  if (stats?.isDirectory()) throw new UsageError(`cannot read ${file}: it is a directory`);
  const input = createReadStream(file, { highWaterMark: 256 * 1024 });
  return new Promise((resolve, reject) => {
    input.once("open", () => resolve({ input, size: stats?.isFile() ? stats.size : null }));
    input.once("error", (error) => reject(new UsageError(`cannot read ${file}: ${messageOf(error)}`)));
  });
}

const BYTE_ORDER_MARK = Buffer.from("\uFEFF");

/** Whole lines, as many as one read gives, without their newline; blank ones are left out, and a byte order mark before the first. */
export async function* linesOf(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer[]> {
  let isFirst = true;
  for await (const lines of splitLines(input)) {
    const [first] = lines;
    if (first === undefined) continue;
    if (isFirst) lines[0] = withoutMark(first);
    isFirst = false;
    yield lines.filter((line) => line.length > 0);
  }
}

function withoutMark(line: Buffer): Buffer {
  const mark = line.subarray(0, BYTE_ORDER_MARK.length);
  return BYTE_ORDER_MARK.equals(mark) ? line.subarray(mark.length) : line;
}

async function* splitLines(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer[]> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of input) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      lines.push(bytes.subarray(start, end));
      start = end + 1;
    }
    rest = bytes.subarray(start);
    yield lines;
  }
  if (rest.length > 0) yield [rest];
}
