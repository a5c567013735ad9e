import { EventRefusedError, ScannerError } from "./errors.ts";
import type { EventLine } from "./event.ts";
import { Fifo } from "./fifo.ts";

/** What the daemon says of a stored event. */
export interface Ack {
  /** The event's id in the daemon, which receivers get as `webhook-id`. */
  id: string;
  /** To how many webhooks it goes. */
  deliveries: number;
  /** The same `id` was stored before: nothing was stored or sent this time. */
  duplicate: boolean;
}

/** An event on its way, until it is settled. */
export interface Entry extends EventLine {
  /** Whether its caller still waits; if not, it is not sent again. */
  wanted: boolean;
  resolve(ack: Ack): void;
  reject(error: ScannerError): void;
}

/** So much may be on the way at once: enough to keep the daemon's batches full. */
const WINDOW_EVENTS = 4096;
const WINDOW_BYTES = 1024 * 1024;
/** So many that nobody waits for may lie among those that wait before they are cleared out. */
const MAX_UNWANTED = 1024;

/**
 * The events that are kept, each in one of three places, and always in the order in which they were given: on the
 * way (written, not answered), again (answered with `UNAVAILABLE`), waiting (not written). Knows nothing of sockets.
 */
export class Backlog {
  readonly #onTheWay = new Fifo<Entry>();
  readonly #waiting = new Fifo<Entry>();
  /** What the daemon could not store; nothing new is written until it has been tried again. */
  #again: Entry[] = [];
  #bytesOnTheWay = 0;
  #bytes = 0;
  #size = 0;
  #unwanted = 0;
  #refusal: ScannerError | null = null;

  /** What the daemon said last, if that was `UNAVAILABLE`. */
  get refusal(): ScannerError | null {
    return this.#refusal;
  }

  /** Bytes of all lines that are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Events that are kept and still wanted. */
  get size(): number {
    return this.#size;
  }

  /** Whether something could be written on a new connection. */
  get hasWork(): boolean {
    return this.#size > 0;
  }

  /** Whether all that was written is answered, some of it with `UNAVAILABLE`. */
  get mustRest(): boolean {
    return this.#again.length > 0 && this.#onTheWay.size === 0;
  }

  add(entry: Entry): void {
    this.#waiting.push(entry);
    this.#bytes += entry.bytes;
    this.#size += 1;
  }

  /** Its caller waits no more. What was written cannot be taken back, what was not never will be. */
  abandon(entry: Entry): void {
    if (!entry.wanted) return;
    this.#leave(entry);
    this.#unwanted += 1;
    if (this.#unwanted > Math.max(MAX_UNWANTED, this.#waiting.size / 2))
      this.#keepWanted(this.#waiting.drain());
  }

  #leave(entry: Entry): void {
    entry.wanted = false;
    this.#bytes -= entry.bytes;
    this.#size -= 1;
  }

  #keepWanted(entries: readonly Entry[]): void {
    this.#unwanted = 0;
    for (const entry of entries) if (entry.wanted) this.#waiting.push(entry);
  }

  /** The lines to write now, which are on the way from then on; empty when there are none. */
  take(): string {
    if (this.#again.length > 0) return "";
    let text = "";
    while (this.#onTheWay.size < WINDOW_EVENTS && this.#bytesOnTheWay < WINDOW_BYTES) {
      const entry = this.#waiting.shift();
      if (!entry) break;
      if (!entry.wanted) continue;
      this.#onTheWay.push(entry);
      this.#bytesOnTheWay += entry.bytes;
      text += entry.text;
    }
    return text;
  }

  /** Takes one line that the daemon wrote; false when it says `UNAVAILABLE`. Throws ScannerError when it is no ack, or one too many. */
  answer(line: string): boolean {
    const ack = parseAck(line);
    const refusal =
      !ack.ok && ack.error.code === "UNAVAILABLE" ? new ScannerError(ack.error.message, "UNAVAILABLE") : null;
    this.#refusal = refusal;
    const entry = this.#onTheWay.shift();
    // The daemon says so once, unasked, to a connection that it does not take.
    if (!entry) throw refusal ?? badAnswer(line);
    this.#bytesOnTheWay -= entry.bytes;
    if (refusal) {
      if (entry.wanted) this.#again.push(entry);
      return false;
    }
    if (!entry.wanted) return true;
    this.#leave(entry);
    if (ack.ok) entry.resolve({ id: ack.id, deliveries: ack.deliveries, duplicate: ack.duplicate ?? false });
    else entry.reject(new EventRefusedError(ack.error.message, ack.error.code, entry.id));
    return true;
  }

  /** All that was written and not stored waits again, before what was not written. */
  rewind(): void {
    const unsettled = [...this.#again, ...this.#onTheWay.drain(), ...this.#waiting.drain()];
    this.#again = [];
    this.#bytesOnTheWay = 0;
    this.#keepWanted(unsettled);
  }

  /** The connection is gone. */
  startOver(): void {
    this.#refusal = null;
    this.rewind();
  }

  /** Settles all that is left with an error. */
  rejectAll(error: ScannerError): void {
    this.rewind();
    for (const entry of this.#waiting.drain()) {
      this.#leave(entry);
      entry.reject(error);
    }
  }
}

type ParsedAck =
  | { ok: true; id: string; deliveries: number; duplicate?: boolean }
  | { ok: false; error: { code: string; message: string } };

function parseAck(line: string): ParsedAck {
  let ack: Partial<Record<string, unknown>> | null;
  try {
    ack = JSON.parse(line);
  } catch {
    throw badAnswer(line);
  }
  if (ack?.ok === true && typeof ack.id === "string" && typeof ack.deliveries === "number")
    return ack as ParsedAck;
  const error = ack?.ok === false ? (ack.error as Partial<Record<string, unknown>> | null) : null;
  if (typeof error?.code === "string" && typeof error.message === "string") return ack as ParsedAck;
  throw badAnswer(line);
}

function badAnswer(line: string): ScannerError {
  return new ScannerError(`not an answer of armorhooks: ${JSON.stringify(line.slice(0, 100))}`, "BAD_ANSWER");
}
