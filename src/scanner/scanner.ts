import { connect, type Socket } from "node:net";
import { stopWaiting } from "./abort.ts";
import { type Ack, Backlog, type Entry } from "./backlog.ts";
import { closedError, fullError, lostError, ScannerError, unackedError } from "./errors.ts";
import { type ScanEvent, toLine } from "./event.ts";
import { type CloseOptions, checkOptions, type ScannerOptions, type SendOptions } from "./options.ts";

const MIN_DELAY_MS = 50;
const MAX_DELAY_MS = 5_000;
/** No ack is near as long; what is says no newline because it is no daemon of ours. */
const MAX_ANSWER = 64 * 1024;

/** One connection at a time. `resting`: the next one, or the next try on this one, waits for the timer. */
type State = "idle" | "connecting" | "open" | "resting";

interface Room {
  resolve(): void;
  reject(error: ScannerError): void;
}

/**
 * Sends scan events to the daemon's socket. Connects with the first event, and again whenever the connection is lost
 * or the daemon says `UNAVAILABLE`, after 50 ms to 5 s; keeps each event until it is acked and sends it again, in
 * order and with the same `id`, so that it is stored once. Does not keep the process alive while nothing is unacked.
 */
export class Scanner {
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #onProblem: (error: ScannerError, retryInMs: number) => void;
  readonly #backlog = new Backlog();
  /** Callers of `ready`. */
  #rooms: Room[] = [];
  #socket: Socket | null = null;
  #state: State = "idle";
  #timer: ReturnType<typeof setTimeout> | null = null;
  /** Failures since the last ack. */
  #failures = 0;
  #choked = false;
  #scheduled = false;
  #unfinished = "";
  #closed: Promise<void> | null = null;
  #onEmpty: (() => void) | null = null;

  constructor(options: ScannerOptions) {
    const { socket, maxBytes, onProblem } = checkOptions(options);
    this.#path = socket;
    this.#maxBytes = maxBytes;
    this.#onProblem = onProblem;
  }

  /** Events that were given and are not acked. */
  get unacked(): number {
    return this.#backlog.size;
  }

  /**
   * Resolves once the event is on the daemon's disk. Rejects with EventRefusedError when the daemon refuses it,
   * ScannerFullError when too much is unacked, ScannerClosedError, or the reason of `signal`.
   */
  send(event: ScanEvent, { signal }: SendOptions = {}): Promise<Ack> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw closedError();
      signal?.throwIfAborted();
      const line = toLine(event);
      this.#checkRoom(line.bytes);
      const entry: Entry = { ...line, wanted: true, resolve, reject };
      if (signal) {
        stopWaiting(entry, signal, () => {
          this.#backlog.abandon(entry);
          this.#settled();
        });
      }
      this.#add(entry);
    });
  }

  /** Resolves when at most half of `maxBytes` is unacked: for those who send without waiting for each ack. */
  ready(): Promise<void> {
    if (this.#closed) return Promise.reject(closedError());
    if (this.#hasRoom()) return Promise.resolve();
    return new Promise((resolve, reject) => this.#rooms.push({ resolve, reject }));
  }

  /**
   * Takes no more events, waits for the last ack and closes the connection. With `timeout`, rejects with
   * ScannerTimeoutError when that takes longer; what is then unacked rejects with ScannerClosedError.
   */
  close({ timeout }: CloseOptions = {}): Promise<void> {
    this.#closed ??= this.#finish(timeout);
    return this.#closed;
  }

  // ── what is kept ──────────────────────────────────────────────────────────────────────────────────

  #checkRoom(bytes: number): void {
    // One event always has room, so that a small limit cannot make an event impossible.
    if (this.#backlog.bytes === 0 || this.#backlog.bytes + bytes <= this.#maxBytes) return;
    throw fullError(this.#backlog.size, this.#maxBytes);
  }

  #hasRoom(): boolean {
    return this.#backlog.bytes <= this.#maxBytes / 2;
  }

  #add(entry: Entry): void {
    this.#backlog.add(entry);
    this.#socket?.ref();
    if (this.#scheduled) return;
    this.#scheduled = true;
    // All events of one turn are written at once.
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  /** Something left the backlog. */
  #settled(): void {
    if (this.#rooms.length > 0 && this.#hasRoom()) {
      for (const room of this.#rooms.splice(0)) room.resolve();
    }
    if (this.#backlog.size > 0) return;
    this.#socket?.unref();
    this.#onEmpty?.();
  }

  // ── the connection ────────────────────────────────────────────────────────────────────────────────

  #pump(): void {
    if (this.#state === "idle" && this.#backlog.hasWork) this.#connect();
    if (this.#state !== "open" || this.#choked) return;
    const text = this.#backlog.take();
    if (text !== "") this.#choked = !this.#socket?.write(text);
  }

  #connect(): void {
    this.#state = "connecting";
    this.#choked = false;
    this.#unfinished = "";
    const socket = connect({ path: this.#path });
    this.#socket = socket;
    let why: Error | null = null;
    socket.setEncoding("utf8");
    socket.on("connect", () => {
      this.#state = "open";
      this.#pump();
    });
    socket.on("data", (text) => this.#read(String(text)));
    socket.on("drain", () => {
      this.#choked = false;
      this.#pump();
    });
    socket.on("error", (error) => {
      why = error;
    });
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      const told = why instanceof ScannerError ? why : this.#backlog.refusal;
      this.#lost(told ?? lostError(this.#path, why));
    });
  }

  #read(text: string): void {
    const lines = (this.#unfinished + text).split("\n");
    this.#unfinished = lines.pop() ?? "";
    try {
      for (const line of lines) if (this.#backlog.answer(line)) this.#failures = 0;
      if (this.#unfinished.length > MAX_ANSWER) throw new ScannerError("an answer without end", "BAD_ANSWER");
    } catch (error) {
      this.#socket?.destroy(error as ScannerError);
    }
    this.#settled();
    if (this.#backlog.mustRest) this.#rest();
    else this.#pump();
  }

  /** The daemon answers, but cannot store: the connection stays, the events are tried again. */
  #rest(): void {
    if (this.#state !== "open") return;
    const refusal = new ScannerError("the daemon cannot store events now", "UNAVAILABLE");
    this.#pause(this.#backlog.refusal ?? refusal, () => {
      this.#backlog.rewind();
      this.#state = this.#socket ? "open" : "idle";
      this.#pump();
    });
  }

  #lost(error: ScannerError): void {
    this.#backlog.startOver();
    // A rest goes on: it ends with a new connection.
    if (this.#timer) return;
    this.#state = "idle";
    if (!this.#backlog.hasWork) return;
    this.#pause(error, () => {
      this.#state = "idle";
      this.#pump();
    });
  }

  #pause(error: ScannerError, then: () => void): void {
    this.#state = "resting";
    const delay = Math.min(MAX_DELAY_MS, MIN_DELAY_MS * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    this.#failures += 1;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      then();
    }, delay);
    this.#onProblem(error, Math.round(delay));
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────

  async #finish(timeout: number | undefined): Promise<void> {
    for (const room of this.#rooms.splice(0)) room.reject(closedError());
    try {
      await this.#emptied(timeout);
    } finally {
      if (this.#timer) clearTimeout(this.#timer);
      this.#backlog.rejectAll(closedError());
      await this.#hangUp();
    }
  }

  #emptied(timeout: number | undefined): Promise<void> {
    if (this.#backlog.size === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const giveUp = (ms: number) => setTimeout(() => reject(unackedError(this.#backlog.size, ms)), ms);
      const timer = timeout === undefined ? undefined : giveUp(timeout);
      this.#onEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #hangUp(): Promise<void> {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return Promise.resolve();
    return new Promise((resolve) => {
      socket.ref();
      socket.once("close", () => resolve());
      // In order, so that what was written counts even if nobody waits for its ack.
      if (this.#state === "connecting") socket.destroy();
      else socket.end(() => socket.destroy());
    });
  }
}
