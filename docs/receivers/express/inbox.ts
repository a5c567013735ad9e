import type { Payload } from "./payload.ts";

const REMEMBERED = 100_000;
const seen = new Set<string>();
const inbox: Payload[] = [];

/**
 * Takes an event that came in, unless it was taken before. A receiver with a database does this with one insert into
 * a table whose key is the id, before it answers: then nothing is lost if it stops before the work is done.
 */
export function take(id: string, payload: Payload): void {
  if (seen.has(id)) return;
  seen.add(id);
  // The oldest is forgotten, long after the daemon has.
  if (seen.size > REMEMBERED) seen.delete(seen.values().next().value as string);
  inbox.push(payload);
  setImmediate(work);
}

/** After the answer: the daemon waits for that, and takes more than 10 s for a failure. */
function work(): void {
  for (const payload of inbox.splice(0)) console.log("handled", JSON.stringify(payload));
}
