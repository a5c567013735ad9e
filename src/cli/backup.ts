import { resolve } from "node:path";
import { Command } from "commander";
import { optionFor } from "../config/options.ts";
import { UsageError } from "../errors.ts";
import { fittingKeyPath, readSecretKey } from "../secrets/key-file.ts";
import { refuseMoved, writeBackup } from "../store/open.ts";
import { type KeyOptions, keySourceOf } from "./key-source.ts";
import { paint } from "./output.ts";
import { print, printJson } from "./results.ts";
import { watchSignals } from "./signals.ts";
import { requireDatabase } from "./with-store.ts";

interface BackupOptions extends KeyOptions {
  withoutKey?: boolean;
  json?: boolean;
}

const HELP = `
The copy is one consistent moment of the database, also while the daemon runs, which it does not hold up.
To restore, stop the daemon, put the copy into an empty data directory as armorhooks.db, and start.

The copy carries the secret key, so that it can be restored alone, unless the key is a file of yours
(--secret-key-file, a systemd credential) or --without-key says no. Starting on the copy moves the key
into the data directory again. Keep a copy that carries the key as safe as the data directory.

Of a PostgreSQL database (--database) the backup is its own: pg_dump, or the provider's snapshots.

Example:
  armorhooks backup --data-dir /var/lib/armorhooks /backups/armorhooks-$(date +%F).db`;

/** `armorhooks backup FILE` */
export function backupCommand(): Command {
  return new Command("backup")
    .description("write a consistent copy of the live database, restorable by starting on it")
    .argument("<FILE>", "where to write it; it must not exist")
    .addOption(optionFor("data-dir"))
    .addOption(optionFor("database").hideHelp())
    .addOption(optionFor("secret-key-file"))
    .option("--without-key", "leave the secret key out of the copy")
    .option("--json", "print JSON")
    .addHelpText("after", HELP)
    .action(backup);
}

async function backup(name: string, options: BackupOptions): Promise<void> {
  if (options.database !== undefined) {
    throw new UsageError(
      "backup copies the SQLite database of a data directory, and --database (ARMORHOOKS_DATABASE) names a PostgreSQL one: back that up with pg_dump or your provider's snapshots, and keep the secret key file with it",
      1,
    );
  }
  requireDatabase(options.dataDir);
  refuseMoved(resolve(options.dataDir));
  const file = resolve(name);
  const source = keySourceOf(options);
  const keyFor = (sealed: Uint8Array | null): Buffer | null => {
    if (options.withoutKey || source.managed) return null;
    const path = fittingKeyPath(source, sealed);
    return path === null ? null : readSecretKey({ ...source, path });
  };
  const interrupted = new AbortController();
  void watchSignals()
    .next()
    .then(() => interrupted.abort());
  const dataDir = resolve(options.dataDir);
  const { bytes, carriesKey } = await writeBackup({ dataDir, file, keyFor, signal: interrupted.signal });
  const done = `backup of ${bytes} bytes written to ${file}`;
  if (options.json) return printJson({ file, bytes, carries_key: carriesKey }, done);
  const note = carriesKey
    ? "it carries the secret key: keep it as safe as the data directory"
    : "it does not carry the secret key: to start on it, the key must be provided too";
  await print(`${done}\n${paint("dim", note)}`, done);
}
