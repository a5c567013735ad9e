import { Queue, type QueueOptions, Worker } from "bullmq";
import { Redis } from "ioredis";
import { now } from "../clock.ts";
import { eventBody } from "../event.ts";
import { offer } from "../program.ts";

/** What a TypeScript team would build instead: a BullMQ queue and a worker that sends signed requests. */
interface Input {
  redisUrl: string;
  url: string;
  secret: string;
  count: number;
}

const QUEUE = "webhooks";
const BULK = 1000;
const CONCURRENCY = 64;
const JOB_OPTIONS = {
  attempts: 12,
  backoff: { type: "exponential", delay: 5000 },
  removeOnComplete: true,
};

function connectionTo(redisUrl: string): QueueOptions["connection"] {
  // As BullMQ's documentation has it, and what it asks of a worker's connection.
  return new Redis(redisUrl, { maxRetriesPerRequest: null });
}

function startWorker({ redisUrl, url, secret }: Input): Worker {
  const hasher = new Bun.CryptoHasher("sha256", Buffer.from(secret, "base64"));
  const send = async ({ id, data }: { id?: string | undefined; data: unknown }): Promise<void> => {
    const body = JSON.stringify(data);
    const timestamp = Math.floor(Date.now() / 1000);
    const signature = hasher.copy().update(`${id}.${timestamp}.${body}`).digest("base64");
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "webhook-id": String(id),
        "webhook-timestamp": String(timestamp),
        "webhook-signature": `v1,${signature}`,
      },
      body,
      redirect: "manual",
      signal: AbortSignal.timeout(10_000),
    });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`status ${response.status}`);
  };
  return new Worker(QUEUE, send, { connection: connectionTo(redisUrl), concurrency: CONCURRENCY });
}

const methods = {
  run: async (input: Input): Promise<{ startedAt: number; remaining: number }> => {
    const queue = new Queue(QUEUE, { connection: connectionTo(input.redisUrl) });
    const worker = startWorker(input);
    await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
    const drained = new Promise<void>((resolve) => {
      let completed = 0;
      worker.on("completed", () => {
        completed += 1;
        if (completed === input.count) resolve();
      });
    });
    const data: unknown = JSON.parse(eventBody());
    const startedAt = now();
    for (let left = input.count; left > 0; left -= BULK) {
      const size = Math.min(BULK, left);
      await queue.addBulk(Array.from({ length: size }, () => ({ name: "event", data, opts: JOB_OPTIONS })));
    }
    await drained;
    const counts = await queue.getJobCounts("waiting", "active", "delayed", "failed");
    await worker.close();
    await queue.close();
    return { startedAt, remaining: Object.values(counts).reduce((sum, n) => sum + n, 0) };
  },
};

export type BullmqMethods = typeof methods;
offer(methods);
