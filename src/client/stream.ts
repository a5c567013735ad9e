import type { Outcome } from "./types.ts";

/** What one message of a stream may be at most: anything longer is not from this API. */
const MAX_MESSAGE_LENGTH = 1024 * 1024;
const NAMES: readonly string[] = ["event", "attempt", "delivery", "webhook", "missed"];

/**
 * The outcomes in a stream of server-sent events; names that are not known yet are passed over. `onBytes` is called
 * for whatever comes, heartbeats included.
 */
export async function* readOutcomes(
  body: ReadableStream<Uint8Array>,
  onBytes: () => void,
): AsyncGenerator<Outcome, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      onBytes();
      const messages = (rest + decoder.decode(part.value, { stream: true })).split("\n\n");
      rest = messages.pop() ?? "";
      if (rest.length > MAX_MESSAGE_LENGTH) throw new Error("a message without an end");
      for (const message of messages) {
        const outcome = outcomeOf(message);
        if (outcome) yield outcome;
      }
    }
  } finally {
    // Who leaves the loop early leaves the connection too.
    await reader.cancel().catch(() => {});
  }
}

function outcomeOf(message: string): Outcome | null {
  const lines = message.split("\n");
  const type = fieldOf(lines, "event");
  const data = fieldOf(lines, "data");
  return type !== null && data !== null && NAMES.includes(type)
    ? ({ type, data: JSON.parse(data) } as Outcome)
    : null;
}

function fieldOf(lines: readonly string[], name: string): string | null {
  const line = lines.find((one) => one.startsWith(`${name}: `));
  return line?.slice(name.length + 2) ?? null;
}
