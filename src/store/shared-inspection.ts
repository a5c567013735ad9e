import type { Inspection } from "./inspection.ts";

/** What `armorhooks doctor` wants to know of a shared database, read without changing anything. */
export interface SharedInspection extends Inspection {
  /** As people know it, without password. */
  address: string;
  /** Null when it cannot be reached; then `problems` says why. */
  server: {
    version: string;
    /** Why no daemon would start on it, as one that tried would say; null when one would. */
    refusal: { problem: string; hint: string } | null;
    /** Settings that make an ack mean less than that the event is on the server's disk, with their values. */
    weakSettings: string[];
    /** Of a small question, milliseconds: the median. */
    latencyMs: number;
    /** How far this machine's clock is ahead of the server's, milliseconds. */
    clockAheadMs: number;
    /** Whether the connection is encrypted. */
    isEncrypted: boolean;
    /** Of the secret key that the daemons use, as 8 hex digits; null when none has started yet. */
    keyId: string | null;
    daemons: number;
    /** Parts of the webhooks that no daemon sends to now. */
    unheld: number;
  } | null;
}
