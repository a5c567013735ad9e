import { connect, type Socket } from "node:net";
import type { Ack } from "./daemon.ts";

/** A scanner as it should be: keeps each line until it is acked, and sends it again after a lost connection. */
export interface ResendingScanner {
  /** Connects and sends what may be sent and is not acked. */
  connect(path: string): void;
  /** Lines up to this index may be sent from now on. */
  allow(count: number): void;
  /** The event id of each acked line, by index. */
  acked: Map<number, string>;
  /** Lines that were sent again because their ack was lost with the connection. */
  resent: number;
  /** Acks that said that the line was known already. */
  duplicates: number;
  close(): void;
}

/** So few that sending takes long: at most moments some line is being committed. */
const WINDOW = 8;

export function createResendingScanner(lines: readonly string[]): ResendingScanner {
  const unsent = lines.map((_, index) => index).reverse();
  let allowed = 0;
  let socket: Socket | null = null;
  /** Indexes that were written to the present connection and not yet answered, oldest first. */
  let unanswered: number[] = [];

  const fill = (): void => {
    const batch: string[] = [];
    while (unanswered.length < WINDOW && (unsent.at(-1) ?? lines.length) < allowed) {
      const index = unsent.pop() as number;
      unanswered.push(index);
      batch.push(`${lines[index]}\n`);
    }
    if (batch.length > 0) socket?.write(batch.join(""));
  };

  const take = (text: string): void => {
    const ack = JSON.parse(text) as Ack;
    const index = unanswered.shift();
    if (index === undefined) throw new Error(`an ack without a line: ${text}`);
    if (!ack.ok && ack.error?.code !== "UNAVAILABLE") throw new Error(text);
    if (!ack.ok) unsent.push(index);
    else scanner.acked.set(index, ack.id as string);
    if (ack.duplicate) scanner.duplicates += 1;
  };

  const lose = (lost: Socket): void => {
    if (socket !== lost) return;
    socket = null;
    scanner.resent += unanswered.length;
    unsent.push(...unanswered.reverse());
    unanswered = [];
  };

  const scanner: ResendingScanner = {
    acked: new Map(),
    resent: 0,
    duplicates: 0,
    connect(path) {
      const opened = connect({ path });
      let rest = "";
      socket = opened;
      opened.setEncoding("utf8");
      opened.on("connect", fill);
      opened.on("error", () => {});
      opened.on("close", () => lose(opened));
      opened.on("data", (text: string) => {
        const answers = (rest + text).split("\n");
        rest = answers.pop() ?? "";
        for (const answer of answers) take(answer);
        fill();
      });
    },
    allow(count) {
      allowed = count;
      if (socket) fill();
    },
    close: () => socket?.destroy(),
  };
  return scanner;
}
