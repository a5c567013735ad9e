import { resolve } from "node:path";
import { Command } from "commander";
import { databaseUrl } from "../config/database.ts";
import { optionFor } from "../config/options.ts";
import { UsageError } from "../errors.ts";
import { secretKeyExists } from "../secrets/key-file.ts";
import { lockDataDir, moveToShared } from "../store/open.ts";
import { type KeyOptions, keySourceOf } from "./key-source.ts";
import { paint } from "./output.ts";
import { print, printJson } from "./results.ts";
import { requireDatabase } from "./with-store.ts";

const HELP = `
With the daemon stopped. The database must be empty. Everything goes: organizations, keys, webhooks with their
secrets, events, what is pending with its attempts and schedules, and history. Cut short, run it again: it
goes on where it was, and until its end no daemon starts on either side. At the end the counts are compared,
and the data directory stays marked, so that nobody starts on it by mistake; nothing else in it is changed.

The webhook secrets stay sealed with the key that they have: give that key to every daemon with
--secret-key-file.

Example:
  systemctl stop armorhooks
  armorhooks move --data-dir /var/lib/armorhooks --to postgres://armorhooks@db.internal/armorhooks
  armorhooks serve --database postgres://armorhooks@db.internal/armorhooks --secret-key-file …`;

/** `armorhooks move` */
export function moveCommand(): Command {
  return new Command("move")
    .description("take a stopped installation to a PostgreSQL database that several daemons share")
    .requiredOption("--to <URL>", "postgres://user@host:port/name; password also from PGPASSWORD")
    .addOption(optionFor("data-dir"))
    .addOption(optionFor("secret-key-file"))
    .option("--json", "print JSON")
    .addHelpText("after", HELP)
    .action(move);
}

async function move({ to, json, ...options }: KeyOptions & { to: string; json?: boolean }): Promise<void> {
  const url = databaseUrl(to, "--to") ?? "";
  requireDatabase(options.dataDir);
  const dataDir = resolve(options.dataDir);
  const source = keySourceOf(options);
  if (!secretKeyExists(source)) {
    throw new UsageError(`there is no secret key ${source.path}`, source.managed ? 2 : 1);
  }
  const lock = lockDataDir(dataDir);
  try {
    const progress = createBar();
    const moved = await moveToShared({ dataDir, url, secretKey: source, onProgress: progress.show });
    progress.end();
    const done = `all was moved to ${moved.to}`;
    if (json) return await printJson({ to: moved.to, ...moved.counts }, done);
    const { organizations, keys, webhooks, events, pending, finished } = moved.counts;
    const lines = [
      `moved to ${moved.to}, and counted there: ${organizations} organizations, ${keys} keys, ${webhooks} webhooks,`,
      `${events} events, ${pending} pending and ${finished} finished deliveries`,
      paint("dim", `every daemon needs --secret-key-file with the key in ${source.path}`),
    ];
    await print(lines.join("\n"), done);
  } finally {
    lock.release();
  }
}

const WIDTH = 40;

/** A bar on a terminal; elsewhere nothing, as standard output says what came of it. */
function createBar(): { show: (rows: number, total: number) => void; end: () => void } {
  if (!process.stderr.isTTY) return { show: () => {}, end: () => {} };
  return {
    show(rows, total) {
      const share = total === 0 ? 1 : rows / total;
      const filled = Math.round(share * WIDTH);
      const bar = "█".repeat(filled) + "░".repeat(WIDTH - filled);
      process.stderr.write(`\r${bar} ${Math.floor(share * 100)} %  ${rows.toLocaleString("en-US")} rows`);
    },
    end: () => process.stderr.write("\n"),
  };
}
