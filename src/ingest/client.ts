import type { Socket } from "bun";
import { MAX_LINE_BYTES } from "./decode-line.ts";
import { createLineSplitter, type LineSplitter } from "./line-splitter.ts";

/** What is known of one connection to the socket. */
export interface Client {
  splitter: LineSplitter;
  /** Batches with lines of it that are not answered yet. */
  unanswered: number;
  /** Acks that the scanner has not taken yet; until it has, its next lines wait. */
  unsent: Buffer | null;
  paused: boolean;
  /** Sends much at once; so is anyone taken to until known better. */
  heavy: boolean;
  /** The scanner has said that it sends no more; it may still read its acks. */
  ended: boolean;
  closed: boolean;
}

export type Connection = Socket<Client>;

export function createClient(): Client {
  return {
    splitter: createLineSplitter(MAX_LINE_BYTES),
    unanswered: 0,
    unsent: null,
    paused: false,
    heavy: true,
    ended: false,
    closed: false,
  };
}
