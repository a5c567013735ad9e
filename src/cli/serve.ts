import { yieldToDeliveries } from "../compiler-threads.ts";
import type { Config } from "../config.ts";
import { createDaemon, type Daemon } from "../daemon.ts";
import { messageOf } from "../errors.ts";
import { createLogger, type Logger } from "../log.ts";
import { DEFAULT_RATE_LIMIT_PER_MINUTE } from "../store/sqlite/api-keys.ts";
import type { Store } from "../store/sqlite/store.ts";
import { VERSION } from "../version.ts";
import { createOutput } from "./output.ts";

/** Runs the daemon until SIGTERM or SIGINT; the answer is the exit code. */
export async function serve(config: Config, bootstrap: boolean): Promise<number> {
  const output = createOutput();
  const log = createLogger({ level: config.logLevel, write: output.write });
  try {
    return await run(config, bootstrap, log);
  } finally {
    log.flush();
    await output.finish();
  }
}

async function run(config: Config, bootstrap: boolean, log: Logger): Promise<number> {
  // One faulty promise must not end the deliveries of everybody; it is logged and counted as what it is.
  process.on("unhandledRejection", (error) =>
    log.error("fault", { where: "promise", error: messageOf(error) }),
  );
  const daemon = createDaemon({ config, log });
  if (bootstrap) bootstrapStore(daemon.store);
  yieldToDeliveries();
  const signal = nextSignal();
  const { url, socket } = await daemon.start();
  announce(log, config, { url, socket });
  const name = await signal;
  return shutDown(daemon, log, name);
}

/** The ready line is printed whatever the log level: scripts wait for it. */
function announce(log: Logger, config: Config, at: { url: string; socket: string }): void {
  const fields = { ...at, version: VERSION, pid: process.pid, paused: config.paused };
  if (log.enabled("info")) log.info("ready", fields);
  else console.log(JSON.stringify({ level: "info", time: Date.now(), msg: "ready", ...fields }));
  log.flush();
}

async function shutDown(daemon: Daemon, log: Logger, signal: string): Promise<number> {
  log.info("stopping", { signal });
  const second = nextSignal().then(() => false);
  const drained = await Promise.race([daemon.stop(), second]);
  if (!drained) log.warn("stopped before everything in flight had ended; those attempts will be repeated");
  log.info("stopped");
  return 0;
}

function nextSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => resolve(name));
  });
}

/** On a database without organizations: one with every feature, and a key that is shown once. */
function bootstrapStore(store: Store): void {
  if (store.organizations.list().length > 0) return;
  const now = store.clock.wall();
  const organization = store.organizations.create({ name: "default", plan: "enterprise", now });
  const { rawKey } = store.apiKeys.create({
    organizationId: organization.id,
    name: "bootstrap",
    rateLimitPerMinute: DEFAULT_RATE_LIMIT_PER_MINUTE,
    expiresAt: null,
    now,
  });
  console.log(
    JSON.stringify({
      level: "info",
      time: now,
      msg: "bootstrapped: this API key is shown once, store it now",
      organization_id: organization.uuid,
      api_key: rawKey,
    }),
  );
}
