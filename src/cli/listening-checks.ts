import { existsSync, lstatSync } from "node:fs";
import { createServer } from "node:net";
import { dirname } from "node:path";
import type { Config } from "../config/config.ts";
import { messageOf } from "../errors.ts";
import { AS_DAEMON } from "../files.ts";
import { probeSocket } from "../ingest/socket-file.ts";
import type { Running } from "../store/open.ts";
import { checkWritable, type Finding, fail, ok } from "./checks.ts";
import { askHealth, connectable } from "./health.ts";

/** What `doctor` looks at where the daemon listens. */

export async function checkSocket({ socket, dataDir }: Config, running: Running): Promise<Finding> {
  const stats = lstatSync(socket, { throwIfNoEntry: false });
  if (stats && !stats.isSocket()) {
    return fail(`${socket} is not a socket`, "choose another --socket, or move it away");
  }
  const answer = stats ? await probeSocket(socket) : "refused";
  if (answer === "denied") return fail(`this user may not connect to ${socket}`, AS_DAEMON);
  if (running === "yes") {
    if (answer === "connected") return ok(`the daemon answers at ${socket}`);
    return fail(
      `the daemon runs, but does not answer at ${socket}`,
      "name the daemon's --socket; if this is it, restart the daemon",
    );
  }
  if (answer === "connected") {
    if (running === "unknown") return ok(`a daemon answers at ${socket}`);
    return fail(`another process listens on ${socket}`, "stop it, or choose another --socket");
  }
  const directory = dirname(socket);
  if (existsSync(directory)) return checkWritable(directory) ?? ok(`${socket} is free`);
  if (directory !== dataDir) {
    return fail(`${directory} does not exist`, "make it, owned by this user, or choose another --socket");
  }
  return ok(`${socket} is free`);
}

export async function checkPort({ host, port }: Config, running: Running): Promise<Finding> {
  if (port === 0) return ok("any free port is taken at start");
  const at = `${connectable(host)}:${port}`;
  if (running === "yes") {
    const fault = await askHealth(host, port);
    if (fault === null) return ok(`the daemon at ${at} accepts work`);
    return fail(
      `the daemon runs, but ${fault}`,
      "name the daemon's --host and --port; after a 503 see its log for why it cannot write",
    );
  }
  const fault = await tryListening(host, port);
  if (fault === null) return ok(`${at} is free`);
  const taken = `cannot listen on ${at}: ${fault}`;
  if (running === "no") return fail(taken, "choose another --port or --host");
  if ((await askHealth(host, port)) === null) return ok(`a daemon at ${at} accepts work`);
  return fail(`${taken}, and whether the daemon runs cannot be told`, AS_DAEMON);
}

function tryListening(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve(messageOf(error)));
    server.listen({ host: host.replace(/^\[|\]$/g, ""), port }, () => server.close(() => resolve(null)));
  });
}
