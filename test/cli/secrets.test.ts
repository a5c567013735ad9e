import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { newSecretKey, readSecretKey } from "../../src/secrets/key-file.ts";
import { createSecretBox } from "../../src/secrets/secret-box.ts";
import { addOrganization, addWebhook, openTestStore } from "../store/seed.ts";
import { newDir, removeDir, runCommand, startDaemon } from "../support/daemon.ts";

let dir: string;
let dataDir: string;
let keyFile: string;
let secrets: (string | null | undefined)[];

beforeEach(async () => {
  dir = newDir();
  dataDir = join(dir, "data");
  keyFile = join(dataDir, "secret.key");
  const store = openTestStore(dataDir);
  const organization = await addOrganization(store);
  for (let i = 0; i < 3; i += 1) {
    const { uuid } = await addWebhook(store, organization);
    for (let n = 0; n < 2; n += 1) await store.webhooks.rotateSecret(organization, uuid, 60_000);
    await store.webhooks.update(organization, uuid, { headers: () => ({ authorization: `Bearer ${uuid}` }) });
  }
  await store.close();
  secrets = await readSecrets();
});
afterEach(() => removeDir(dir));

/** Every secret, the rotated ones and the header fields too, opened with the key that is in place. */
async function readSecrets(): Promise<(string | null | undefined)[]> {
  const store = openTestStore(dataDir);
  try {
    const loaded = await Promise.all([1, 2, 3].map(store.webhooks.load));
    return loaded.flatMap((one) => [
      one?.secret,
      ...(one?.rotatedSecrets ?? []).map(({ secret }) => secret),
      JSON.stringify(one?.headers),
    ]);
  } finally {
    await store.close();
  }
}

const rotate = (...args: string[]) => runCommand(["secret-key", "rotate", "--data-dir", dataDir, ...args]);

describe("armorhooks secret-key rotate", () => {
  test("puts a new key in place and keeps every secret", async () => {
    const before = readFileSync(keyFile, "utf8");
    const { code, stdout } = await rotate();
    expect(code).toBe(0);
    expect(stdout).toContain("secrets of 3 webhooks");
    expect(readFileSync(keyFile, "utf8")).not.toBe(before);
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    expect(existsSync(`${keyFile}.next`)).toBe(false);
    expect(await readSecrets()).toEqual(secrets);
    writeFileSync(keyFile, before);
    expect(readSecrets()).rejects.toThrow("is not the one");
  });

  test("rotates the operator's own key file, and keeps its mode", async () => {
    const own = join(dir, "own.key");
    renameSync(keyFile, own);
    chmodSync(own, 0o640);
    expect((await rotate("--secret-key-file", own)).code).toBe(0);
    expect(statSync(own).mode & 0o777).toBe(0o640);
    renameSync(own, keyFile);
    expect(await readSecrets()).toEqual(secrets);
  });

  test("refuses while a daemon runs, and changes nothing", async () => {
    const daemon = await startDaemon({ dir });
    const before = readFileSync(keyFile);
    const { code, stderr } = await rotate();
    expect(code).toBe(1);
    expect(stderr).toContain("another armorhooks is running");
    expect(readFileSync(keyFile).equals(before)).toBe(true);
    await daemon.stop();
  });

  test("refuses a directory without a database", async () => {
    const { code, stderr } = await runCommand(["secret-key", "rotate", "--data-dir", join(dir, "nothing")]);
    expect(code).toBe(1);
    expect(stderr).toContain("there is no database");
  });

  test("cut short before the database was sealed anew, the old key still fits and the next rotation works", async () => {
    writeFileSync(`${keyFile}.next`, newSecretKey().toString("hex"));
    expect(await readSecrets()).toEqual(secrets);
    expect((await rotate()).code).toBe(0);
    expect(await readSecrets()).toEqual(secrets);
  });

  test("cut short after the database was sealed anew, the next start finishes it", async () => {
    const next = newSecretKey();
    writeFileSync(`${keyFile}.next`, next.toString("hex"));
    const store = openTestStore(dataDir);
    store.webhooks.reseal(createSecretBox(next));
    await store.close();
    expect(await readSecrets()).toEqual(secrets);
    expect(readSecretKey({ path: keyFile, managed: false }).equals(next)).toBe(true);
    expect(existsSync(`${keyFile}.next`)).toBe(false);
  });

  test("a backup taken in that moment carries the key that fits it", async () => {
    const next = newSecretKey();
    writeFileSync(`${keyFile}.next`, next.toString("hex"));
    const store = openTestStore(dataDir);
    store.webhooks.reseal(createSecretBox(next));
    await store.close();
    const copy = join(dir, "copy.db");
    expect((await runCommand(["backup", "--data-dir", dataDir, copy])).code).toBe(0);
    dataDir = join(dir, "restored");
    mkdirSync(dataDir);
    copyFileSync(copy, join(dataDir, "armorhooks.db"));
    expect(await readSecrets()).toEqual(secrets);
  });
});

test("notify-secret prints the secret that the key gives, without touching the database", async () => {
  const { code, stdout } = await runCommand(["notify-secret", "--data-dir", dataDir]);
  expect(code).toBe(0);
  const store = openTestStore(dataDir);
  const secret = store.secrets.derive("armorhooks notices");
  await store.close();
  expect(stdout).toBe(`${secret}\n`);
});

test("notify-secret prints what the next start will have, where a rotation was cut short", async () => {
  const notice = async () => (await runCommand(["notify-secret", "--data-dir", dataDir])).stdout.trim();
  const before = await notice();
  const next = newSecretKey();
  writeFileSync(`${keyFile}.next`, next.toString("hex"));
  expect(await notice()).toBe(before);
  const store = openTestStore(dataDir);
  store.webhooks.reseal(createSecretBox(next));
  await store.close();
  const after = await notice();
  expect(after).not.toBe(before);
  expect(existsSync(`${keyFile}.next`)).toBe(true);
  const started = openTestStore(dataDir);
  expect(started.secrets.derive("armorhooks notices")).toBe(after);
  await started.close();
});

test("notify-secret does not expect the daemon to make a key file that is the operator's", async () => {
  const args = ["notify-secret", "--data-dir", dataDir, "--secret-key-file", join(dir, "nowhere.key")];
  const { code, stderr } = await runCommand(args);
  expect([code, stderr]).toEqual([2, expect.stringContaining("nowhere.key does not exist")]);
});

test("a key that was named is a bad value where it cannot be read, with 2; the automatic one ends with 1", async () => {
  const bad = join(dir, "bad");
  writeFileSync(bad, "no key");
  const named = ["--secret-key-file", bad];
  const commands = [
    ["serve", "--port", "0"],
    ["notify-secret"],
    ["secret-key", "rotate"],
    ["move", "--to", "postgres://a@b/c"],
  ];
  for (const args of commands) {
    const { code, stderr } = await runCommand([...args, ...named, "--data-dir", dataDir]);
    expect([args, code, stderr]).toEqual([args, 2, expect.stringMatching(/bad must hold 64 hex digits/)]);
  }
  writeFileSync(keyFile, "no key");
  for (const args of [...commands, ["backup", join(dir, "copy.db")]]) {
    const { code, stderr } = await runCommand([...args, "--data-dir", dataDir]);
    expect([args, code, stderr]).toEqual([
      args,
      1,
      expect.stringMatching(/secret\.key must hold 64 hex digits/),
    ]);
  }
  for (const args of commands) {
    const absent = ["--secret-key-file", join(dir, "absent"), "--data-dir", dataDir];
    expect([args, (await runCommand([...args, ...absent])).code]).toEqual([args, 2]);
  }
}, 20_000);

test("notify-secret says so when there is no key yet", async () => {
  const { code, stderr } = await runCommand(["notify-secret", "--data-dir", join(dir, "nothing")]);
  expect(code).toBe(1);
  expect(stderr).toContain("there is no secret key");
  expect(existsSync(join(dir, "nothing"))).toBe(false);
});
