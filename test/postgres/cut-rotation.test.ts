import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createSecretBox } from "../../src/secrets/secret-box.ts";
import { cleanUp, command, emptyDir } from "../support/e2e.ts";
import { type Cluster, hasPostgres, startCluster } from "../support/postgres.ts";

let cluster: Cluster;

describe.if(hasPostgres())("a rotation of the secret key of a PostgreSQL that was cut short", () => {
  beforeAll(async () => {
    cluster = await startCluster();
  }, 30_000);
  afterEach(cleanUp);
  afterAll(() => cluster.remove());

  test("gives notices the secret that the next start has, before and after the database was sealed", async () => {
    const url = await cluster.database();
    const key = join(emptyDir(), "secret.key");
    const [old, next] = ["a7".repeat(32), "b8".repeat(32)];
    const boxOf = (digits: string) => createSecretBox(Buffer.from(digits, "hex"));
    const args = ["notify-secret", "--database", url, "--secret-key-file", key];
    writeFileSync(key, old);
    writeFileSync(`${key}.next`, next);
    expect((await command(["org", "create", "--name", "acme", "--database", url])).code).toBe(0);
    for (const digits of [old, next]) {
      const { keyId, derive } = boxOf(digits);
      cluster.run(
        url,
        `INSERT INTO meta VALUES ('key_id', '${keyId}') ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
      );
      const { stdout, stderr } = await command(args);
      expect([stdout, stderr]).toEqual([`${derive("armorhooks notices")}\n`, ""]);
    }
    expect(existsSync(`${key}.next`)).toBe(true);
    cluster.run(url, "UPDATE meta SET value = '00000000' WHERE key = 'key_id'");
    expect((await command(args)).code).toBe(1);
  }, 20_000);
});
