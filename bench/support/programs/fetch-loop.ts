import { now } from "../clock.ts";
import { eventBody } from "../event.ts";
import { steadily } from "../pace.ts";
import { offer } from "../program.ts";

/** The limit beside which deliveries are measured: signed POSTs with a bare `fetch`, nothing stored. */
export interface FetchTarget {
  url: string;
  secret: string;
  /** The name in Host, SNI and the certificate, when the URL has the address. */
  serverName?: string;
}

interface PreparedTarget extends FetchTarget {
  hasher: Bun.CryptoHasher;
}

let targets: PreparedTarget[] = [];
let ca: string | undefined;
let failed = 0;
let messages = 0;

async function post({ url, hasher, serverName }: PreparedTarget, body: string): Promise<void> {
  messages += 1;
  const id = `0197a3c0-0000-7000-8000-${messages.toString(16).padStart(12, "0")}`;
  const timestamp = Math.floor(Date.now() / 1000);
  const signature = hasher.copy().update(`${id}.${timestamp}.${body}`).digest("base64");
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "user-agent": "armorhooks/0.1.0",
        "webhook-id": id,
        "webhook-timestamp": String(timestamp),
        "webhook-signature": `v1,${signature}`,
        ...(serverName && { host: serverName }),
      },
      body,
      redirect: "manual",
      ...(ca && { tls: serverName ? { ca, serverName } : { ca } }),
    });
    await response.arrayBuffer();
    if (!response.ok) failed += 1;
  } catch {
    failed += 1;
  }
}

const methods = {
  prepare: (options: { targets: FetchTarget[]; ca?: string | undefined }): void => {
    ca = options.ca;
    targets = options.targets.map((target) => ({
      ...target,
      hasher: new Bun.CryptoHasher("sha256", Buffer.from(target.secret, "base64")),
    }));
  },
  /** Makes so many requests, each target in turn, with so many in flight. */
  flood: async ({ count, inFlight }: { count: number; inFlight: number }) => {
    failed = 0;
    const body = eventBody();
    const startedAt = now();
    let next = 0;
    const loop = async (): Promise<void> => {
      while (next < count) {
        const target = targets[next % targets.length] as PreparedTarget;
        next += 1;
        await post(target, body);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, loop));
    return { startedAt, failed };
  },
  steady: async ({ rate, count }: { rate: number; count: number }) => {
    failed = 0;
    const sentAt: number[] = [];
    const running: Promise<void>[] = [];
    await steadily(rate, count, (sequence) => {
      sentAt.push(now());
      running.push(post(targets[sequence % targets.length] as PreparedTarget, eventBody(sequence)));
    });
    await Promise.all(running);
    return { sentAt, failed };
  },
};

export type FetchLoopMethods = typeof methods;
offer(methods);
