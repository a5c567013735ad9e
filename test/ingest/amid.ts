import type { Line } from "../../src/ingest/line-splitter.ts";

/** A line amid bytes that are none of its own, and not even UTF-8. */
export function amid(line: Buffer | null): Line | null {
  if (line === null) return null;
  const around = Buffer.from([0xff, 0x7b, 0x0a]);
  return {
    bytes: Buffer.concat([around, line, around]),
    from: around.length,
    to: around.length + line.length,
  };
}
