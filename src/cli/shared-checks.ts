import type { Config } from "../config/config.ts";
import { messageOf } from "../errors.ts";
import { readSecretKey, secretKeyExists, secretKeySource } from "../secrets/key-file.ts";
import { createSecretBox } from "../secrets/secret-box.ts";
import type { SharedInspection } from "../store/shared-inspection.ts";
import { type Finding, fail, keyHint, ok, warn } from "./checks.ts";

/** What `doctor` looks at where daemons share a PostgreSQL database. */

const SLOW_MS = 20;
const TOLERANCE_MS = 60_000;

export function checkServer({ address, state, problems, facts, server }: SharedInspection): Finding {
  if (state === "barred")
    return fail(
      `${address} cannot be used: ${problems.join("; ")}`,
      "make its user the owner of the database",
    );
  if (!server) {
    return fail(
      `${address} cannot be used: ${problems.join("; ")}`,
      "check host, name, user and password, and that this machine may connect (pg_hba.conf)",
    );
  }
  if (server.refusal !== null) {
    const { problem, hint } = server.refusal;
    return fail(`${address}: ${problem}`, hint);
  }
  const later = !facts || facts.missingMigrations > 0 ? "; the next start brings it up to date" : "";
  const message = `${address}, PostgreSQL ${server.version}${later}`;
  if (server.isEncrypted || /@(localhost|127\.|\[::1\]|\/)/.test(address)) return ok(message);
  return warn(`${message}, not encrypted`, "add sslmode=verify-full to the URL");
}

/** Whether an ack means that the event is on disk. */
export function checkAcks({ server }: SharedInspection): Finding {
  if (!server) return ok("not looked at: the server does not answer");
  if (server.weakSettings.length === 0) return ok("an ack means that the event is on the server's disk");
  return warn(
    `an acked event can be lost when the server fails: ${server.weakSettings.join(", ")}`,
    "turn these on in the server's settings",
  );
}

export function checkLatency({ server }: SharedInspection): Finding {
  if (!server) return ok("not looked at: the server does not answer");
  const message = `the server answers within ${server.latencyMs.toFixed(1)} ms`;
  if (server.latencyMs < SLOW_MS) return ok(message);
  return warn(message, "each batch of events waits for that: run the daemons nearer to the server");
}

export function checkSharedClock({ server }: SharedInspection): Finding {
  if (!server) return ok("not looked at: the server does not answer");
  const seconds = Math.round(Math.abs(server.clockAheadMs) / 1000);
  const direction = server.clockAheadMs > 0 ? "ahead of" : "behind";
  if (Math.abs(server.clockAheadMs) < TOLERANCE_MS) return ok("this machine's clock and the server's agree");
  return warn(
    `this machine's clock is ${seconds} s ${direction} the server's`,
    "set it; schedules and signatures follow the server's, logs do not",
  );
}

export function checkLeases({ server }: SharedInspection): Finding {
  if (!server) return ok("not looked at: the server does not answer");
  const { daemons, unheld } = server;
  if (daemons === 0) return ok("no daemon runs on this database");
  if (unheld === 0) return ok(`${daemons} daemons hold all webhooks`);
  return warn(
    `${daemons} daemons run, and ${unheld} parts of the webhooks are held by none`,
    "look again in 10 s; where all daemons are --paused, nothing is sent",
  );
}

/** The key is the operator's, and the same everywhere. */
export function checkSharedKey(config: Config, { server }: SharedInspection): Finding {
  const source = secretKeySource(config.dataDir, config.secretKeyFile);
  if (!source.managed) {
    return fail(
      "no secret key is named, which all daemons of a database must share",
      "openssl rand -hex 32 makes one; name its file with --secret-key-file",
    );
  }
  if (!secretKeyExists(source)) return fail(`there is no ${source.path}`, "openssl rand -hex 32 makes a key");
  try {
    const { keyId } = createSecretBox(readSecretKey(source));
    if (server === null || server.keyId === null || server.keyId === keyId)
      return ok(`${source.path} is the right one`);
  } catch (error) {
    return fail(messageOf(error), keyHint(source.path));
  }
  return fail(`${source.path} is not the key that the other daemons have`, "put the right key there");
}
