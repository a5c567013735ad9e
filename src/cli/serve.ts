import { writeSync } from "node:fs";
import { yieldToDeliveries } from "../compiler-threads.ts";
import type { Config } from "../config/config.ts";
import { createDaemon, type Daemon } from "../daemon.ts";
import { messageOf, UsageError } from "../errors.ts";
import { createLogger, type Logger, type LogWriter } from "../log.ts";
import type { Store } from "../store/store.ts";
import { VERSION } from "../version.ts";
import { DEFAULT_RATE_LIMIT_PER_MINUTE } from "./keys.ts";
import { createOutput } from "./output.ts";
import { type Signals, watchSignals } from "./signals.ts";

/** Runs the daemon until SIGTERM, SIGINT or SIGHUP; the answer is the exit code. */
export async function serve(config: Config, bootstrap: boolean): Promise<number> {
  const output = createOutput();
  const log = createLogger({ level: config.logLevel, write: output.write });
  try {
    return await run(config, bootstrap, { log, write: output.write });
  } finally {
    log.flush();
    await output.finish();
  }
}

interface Log {
  log: Logger;
  /** For what is written whatever the level. */
  write: LogWriter;
}

async function run(config: Config, bootstrap: boolean, { log, write }: Log): Promise<number> {
  // One faulty promise must not end the deliveries of everybody; it is logged and counted as what it is.
  process.on("unhandledRejection", (error) =>
    log.error("fault", { where: "promise", error: messageOf(error) }),
  );
  const opening = createDaemon({ config, log });
  const signals = watchSignals();
  const signal = signals.next();
  // Whoever waits for a database that is away has begun nothing.
  const daemon = await Promise.race([opening, signal.then(() => null)]);
  if (daemon === null) return 0;
  yieldToDeliveries();
  const { url, socket } = await daemon.start(async (at) => {
    if (bootstrap) await bootstrapStore(daemon.store, at);
  });
  announce({ log, write }, config, { url, socket });
  log.info("stopping", { signal: await signal });
  return shutDown(daemon, log, signals);
}

/** The ready line is printed whatever the log level: scripts wait for it. */
function announce({ log, write }: Log, config: Config, at: { url: string; socket: string }): void {
  const fields = { ...at, version: VERSION, pid: process.pid, paused: config.paused };
  if (log.enabled("info")) log.info("ready", fields);
  else {
    const line = JSON.stringify({ level: "info", time: Date.now(), msg: "ready", ...fields });
    write(Buffer.from(`${line}\n`), () => {});
  }
  log.flush();
}

/** What is in flight may end; a second signal, once it cannot be the first one again, cuts that short. */
async function shutDown(daemon: Daemon, log: Logger, signals: Signals): Promise<number> {
  const second = signals.next().then((signal) => {
    log.warn("a second signal cuts the drain short", { signal });
    return false;
  });
  const drained = await Promise.race([daemon.stop(), second]);
  if (!drained) log.warn("stopped before everything in flight had ended; those attempts will be repeated");
  log.info("stopped");
  return 0;
}

/** On a database without organizations: one with every feature, and a key that is shown once. */
async function bootstrapStore(store: Store, url: string): Promise<void> {
  await store.bootstrap(
    {
      organization: { name: "default", plan: "enterprise" },
      key: { name: "bootstrap", rateLimitPerMinute: DEFAULT_RATE_LIMIT_PER_MINUTE, expiresAt: null },
    },
    ({ organization, rawKey }) =>
      show(
        `${JSON.stringify({
          level: "info",
          time: store.clock.wall(),
          msg: "bootstrapped: this API key is shown once, store it now",
          organization_id: organization.uuid,
          api_key: rawKey,
        })}\n${process.stdout.isTTY ? invitation(url, rawKey) : ""}`,
      ),
  );
}

/** For whoever sits at a terminal: browsers send nobody what is behind "#". */
function invitation(url: string, rawKey: string): string {
  const page = new URL("/dashboard", url);
  if (["0.0.0.0", "[::]"].includes(page.hostname)) page.hostname = "localhost";
  return `\n  The dashboard, signed in with this key: ${page.href}#key=${rawKey}\n\n`;
}

const STDOUT = 1;

/** Whole and at once, as the key is stored only when this has not failed: a disk that gets full takes a part. */
function show(text: string): void {
  const bytes = Buffer.from(text);
  try {
    for (let from = 0; from < bytes.length; ) from += writeSync(STDOUT, bytes, from);
  } catch (error) {
    throw new UsageError(
      `the first API key cannot be printed (${messageOf(error)}), so none was made; start again where standard output is read`,
      1,
    );
  }
}
