import { isUtf8 } from "node:buffer";
import { AppError } from "../errors.ts";
import type { Line } from "./line-splitter.ts";
import { createScanEventDecoder, type ScanEvent } from "./scan-event.ts";

/** The longest line that is taken, in bytes without its newline. */
export const MAX_LINE_BYTES = 256 * 1024;

// Made once: a flood of bad lines must not cost more than one of good ones.
const TOO_LONG = new AppError(
  "PAYLOAD_TOO_LARGE",
  `a line must not be longer than ${MAX_LINE_BYTES / 1024} KiB`,
);
const NOT_UTF8 = new AppError("VALIDATION_ERROR", "the line is not valid UTF-8");
const EMPTY = new AppError("VALIDATION_ERROR", "the line is empty; send one JSON object per line");
const NOT_JSON = new AppError(
  "VALIDATION_ERROR",
  "the line is not valid JSON; send one JSON object per line",
);

/** Whether a line was refused for what may come of its end being missing. */
export function isTorn(error: AppError): boolean {
  return error === NOT_JSON || error === NOT_UTF8 || error === EMPTY;
}

/** Turns the bytes of one line into a scan event; `null` stands for a line that was too long. Throws AppError. */
export type DecodeLine = (line: Line | null, receivedAt: number) => ScanEvent;

export function createLineDecoder(): DecodeLine {
  const decodeScanEvent = createScanEventDecoder();
  return (line, receivedAt) => {
    if (line === null) throw TOO_LONG;
    const { bytes, from, to } = line;
    if (from === to) throw EMPTY;
    const text = bytes.toString("utf8", from, to);
    // Where nothing had to be replaced, everything was UTF-8.
    if (text.includes("\uFFFD") && !isUtf8(bytes.subarray(from, to))) throw NOT_UTF8;
    return decodeScanEvent(parse(text), receivedAt);
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message would repeat what was submitted.
    throw text.trim() === "" ? EMPTY : NOT_JSON;
  }
}
