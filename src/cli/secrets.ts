import { resolve } from "node:path";
import { Command } from "commander";
import { databaseUrl } from "../config/database.ts";
import { optionFor } from "../config/options.ts";
import { UsageError } from "../errors.ts";
import { isThere } from "../files.ts";
import { NOTICE_PURPOSE } from "../notifier.ts";
import { nextKeyPath, readSecretKey, type SecretKeySource, secretKeyExists } from "../secrets/key-file.ts";
import { createSecretBox } from "../secrets/secret-box.ts";
import { keyIdOf, lockDataDir } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { type KeyOptions, keySourceOf } from "./key-source.ts";
import { paint } from "./output.ts";
import { print } from "./results.ts";
import { requireDatabase, withExistingStore } from "./with-store.ts";

const ROTATE_HELP = `
Webhook secrets stay what they are; only the key that encrypts them in the database changes. Backups made
before need the old key, which those carry themselves unless the key was yours to keep. The secret that
failure notices are signed with changes too (armorhooks notify-secret). The daemon must be stopped.

Example:
  systemctl stop armorhooks
  armorhooks secret-key rotate --data-dir /var/lib/armorhooks
  systemctl start armorhooks`;

/** `armorhooks secret-key …` */
export function secretKeyCommand(): Command {
  const command = new Command("secret-key").description(
    "manage the key that encrypts webhook secrets in the database",
  );
  command
    .command("rotate")
    .description("make a new key and encrypt every webhook secret with it")
    .addOption(optionFor("data-dir"))
    .addOption(optionFor("database"))
    .addOption(optionFor("secret-key-file"))
    .addHelpText("after", ROTATE_HELP)
    .action(rotate);
  return command;
}

async function rotate(options: KeyOptions): Promise<void> {
  const source = keySourceOf(options);
  // Of a shared database, nothing is in the data directory, and the database itself sees that no daemon runs.
  const lock = options.database === undefined ? lockExisting(options.dataDir) : null;
  try {
    const rotateKey = (store: Store): Promise<number> => store.secrets.rotateKey();
    // The lock that an upgrade would wait for is this command's own.
    const count = await withExistingStore(options, rotateKey, { secretKey: source, beforeUpgrade() {} });
    const done = `new secret key in ${source.path}; secrets of ${count} webhooks encrypted with it`;
    const note = paint("dim", "with --notify-url: notices have a new secret, see armorhooks notify-secret");
    await print(`${done}\n${note}`, done);
  } finally {
    lock?.release();
  }
}

function lockExisting(dataDir: string): ReturnType<typeof lockDataDir> {
  requireDatabase(dataDir);
  return lockDataDir(resolve(dataDir));
}

/** `armorhooks notify-secret` */
export function notifySecretCommand(): Command {
  return new Command("notify-secret")
    .description("print the secret that failure notices (serve --notify-url) are signed with")
    .addOption(optionFor("data-dir"))
    .addOption(optionFor("database"))
    .addOption(optionFor("secret-key-file"))
    .addHelpText("after", "\nExample:\n  armorhooks notify-secret --data-dir /var/lib/armorhooks")
    .action(async (options: KeyOptions) => {
      const key = readSecretKey(await presentKey(options));
      await print(createSecretBox(key).derive(NOTICE_PURPOSE));
    });
}

/** The key that the daemon has, or will have: its next start finishes a rotation that was cut short. */
async function presentKey(options: KeyOptions): Promise<SecretKeySource> {
  const source = keySourceOf(options);
  if (!secretKeyExists(source)) {
    if (source.managed) throw new UsageError(`the secret key file ${source.path} does not exist`);
    throw new UsageError(
      `there is no secret key ${source.path} yet; the daemon makes it on its first start`,
      1,
    );
  }
  // With one key there is no question, and the database need not be there.
  const next = { ...source, path: nextKeyPath(source) };
  if (!isThere(next.path)) return source;
  const keyId = await keyIdOf({ dataDir: resolve(options.dataDir), database: databaseUrl(options.database) });
  const fits = (one: SecretKeySource): boolean =>
    keyId === null || createSecretBox(readSecretKey(one)).keyId === keyId;
  const fitting = [source, next].find(fits);
  if (fitting) return fitting;
  throw new UsageError(
    `the secret key in ${source.path} is not the one that the database was sealed with`,
    1,
  );
}
