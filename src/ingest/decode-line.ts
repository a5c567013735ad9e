import { isUtf8 } from "node:buffer";
import { AppError } from "../errors.ts";
import { decodeScanEvent, type ScanEvent } from "./scan-event.ts";

/** The longest line that is taken, in bytes without its newline. */
export const MAX_LINE_BYTES = 256 * 1024;

/** Turns the bytes of one line into a scan event; `null` stands for a line that was too long. Throws AppError. */
export function decodeLine(line: Buffer | null, receivedAt: number): ScanEvent {
  if (line === null) {
    throw new AppError("PAYLOAD_TOO_LARGE", `a line must not be longer than ${MAX_LINE_BYTES / 1024} KiB`);
  }
  if (!isUtf8(line)) throw new AppError("VALIDATION_ERROR", "the line is not valid UTF-8");
  return decodeScanEvent(parse(line.toString("utf8")), receivedAt);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message would repeat what was submitted.
    const what = text.trim() === "" ? "the line is empty" : "the line is not valid JSON";
    throw new AppError("VALIDATION_ERROR", `${what}; send one JSON object per line`);
  }
}
