import { timingSafeEqual } from "node:crypto";
import { Command, InvalidArgumentError, Option } from "commander";
import { parseHost } from "../config/parse.ts";
import { createSigner } from "../delivery/signature.ts";
import { messageOf, UsageError } from "../errors.ts";
import { paint, printable } from "./output.ts";
import { print } from "./results.ts";
import { watchSignals } from "./signals.ts";

interface ListenOptions {
  host: string;
  port: number;
  secret?: string;
  answer: number;
  json?: boolean;
}

const DEFAULT_PORT = 8788;
const DEFAULT_STATUS = 200;

/** `armorhooks listen` */
export function listenCommand(): Command {
  return new Command("listen")
    .description(
      "a receiver for trying things: prints each request it gets, and says whether its signature is valid",
    )
    .option("--host <HOST>", "address to listen on", parseHost, "127.0.0.1")
    .option("--port <N>", "port to listen on; 0 picks a free one", parsePort, DEFAULT_PORT)
    .addOption(
      new Option("--secret <SECRET>", "the webhook's secret, to check signatures with").env(
        "ARMORHOOKS_SECRET",
      ),
    )
    .option("--answer <STATUS>", "HTTP status to answer with", parseStatus, DEFAULT_STATUS)
    .option("--json", "print each request as one line of JSON")
    .addHelpText("after", "\nExample:\n  armorhooks listen --port 8788 --secret a1b2…")
    .action(listen);
}

async function listen(options: ListenOptions): Promise<void> {
  if (options.secret !== undefined && !/^[0-9a-f]{64}$/.test(options.secret)) {
    throw new UsageError("--secret must be a webhook's secret, 64 hex digits, as it was returned");
  }
  const interrupted = watchSignals().next();
  const { promise: unreadable, reject } = Promise.withResolvers<never>();
  const server = serve(options, reject);
  console.error(`listening on ${server.url.origin}; interrupt to stop`);
  try {
    await Promise.race([interrupted, unreadable]);
  } finally {
    await server.stop(true);
  }
}

/** `onUnreadable` is told when nobody can read what is printed. */
function serve({ host, port, secret, answer, json }: ListenOptions, onUnreadable: (error: unknown) => void) {
  try {
    return Bun.serve({
      hostname: host,
      port,
      // Two of them on a port would each get some of the requests.
      reusePort: false,
      development: false,
      async fetch(request) {
        const received = await read(request, secret);
        try {
          await print(json ? JSON.stringify(received) : wordsOf(received, answer));
        } catch (error) {
          onUnreadable(error);
          return new Response(null, { status: 503 });
        }
        return new Response(null, { status: answer });
      },
    });
  } catch (error) {
    throw new UsageError(`cannot listen on ${host} port ${port}: ${messageOf(error)}`, 1);
  }
}

/** `unchecked`: no secret was given to check it with. */
type Verdict = "valid" | "invalid" | "missing" | "unchecked";

interface Received {
  at: string;
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
  signature: Verdict;
  /** Of the signature, from now; null without one. */
  age_seconds: number | null;
}

async function read(request: Request, secret: string | undefined): Promise<Received> {
  const { pathname, search } = new URL(request.url);
  const body = await request.text();
  const headers = Object.fromEntries(request.headers);
  const timestamp = Number(headers["webhook-timestamp"] ?? Number.NaN);
  return {
    at: new Date().toISOString(),
    method: request.method,
    path: pathname + search,
    headers,
    body,
    signature: verdictOn(headers, body, secret),
    age_seconds: Number.isFinite(timestamp) ? Math.round(Date.now() / 1000 - timestamp) : null,
  };
}

/** By the rules of Standard Webhooks: one of the signatures must be the secret's. */
function verdictOn(headers: Record<string, string>, body: string, secret: string | undefined): Verdict {
  const {
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": signatures,
  } = headers as Record<string, string | undefined>;
  if (id === undefined || timestamp === undefined || signatures === undefined) return "missing";
  if (secret === undefined) return "unchecked";
  const wanted = Buffer.from(createSigner([secret])(id, Number(timestamp), body));
  const isWanted = (one: string): boolean => {
    const bytes = Buffer.from(one);
    return bytes.length === wanted.length && timingSafeEqual(bytes, wanted);
  };
  return signatures.split(" ").some(isWanted) ? "valid" : "invalid";
}

const VERDICTS: Record<Verdict, string> = {
  valid: paint("green", "signature valid"),
  invalid: paint("red", "signature INVALID"),
  missing: paint("red", "no signature"),
  unchecked: paint("dim", "signature not checked: no --secret"),
};
/** Receivers refuse what is older, or from the future (Standard Webhooks, "Verifying webhook authenticity"). */
const TOLERANCE_SECONDS = 300;

function wordsOf(
  { at, method, path, headers, body, signature, age_seconds: age }: Received,
  answer: number,
): string {
  const isOff = age !== null && Math.abs(age) > TOLERANCE_SECONDS;
  const off = isOff
    ? paint("yellow", `, but its time is ${Math.abs(age)} s ${age > 0 ? "ago" : "ahead"}`)
    : "";
  const id = headers["webhook-id"] ?? "no webhook-id";
  const head = `${paint("dim", at.slice(11, 23))}  ${printable(`${method} ${path}  ${id}`)}  ${VERDICTS[signature]}${off}  answered ${answer}`;
  return `${head}\n  ${printable(body)}`;
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  throw new InvalidArgumentError("It must be a whole number from 0 to 65535.");
}

function parseStatus(text: string): number {
  const status = /^\d{3}$/.test(text) ? Number(text) : Number.NaN;
  if (status >= 200 && status <= 599) return status;
  throw new InvalidArgumentError("It must be an HTTP status from 200 to 599.");
}
