import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Authority, createAuthority, withoutOpenssl } from "../support/certificates.ts";
import { connectScanner, newDir, removeDir, scan, until } from "../support/daemon.ts";
import { cleanUp, command, emptyDir, receive, register, startBinary, verify } from "../support/e2e.ts";
import { asServer, type Cluster, hasPostgres, startCluster } from "../support/postgres.ts";
import type { Received } from "../support/receiver.ts";

let cluster: Cluster;
let owner: string;
let dir: string;
let authority: Authority;

const PASSWORD = "p@ss/word 1";

function keyFile(): string {
  const path = join(emptyDir(), "secret.key");
  writeFileSync(path, "a7".repeat(32));
  return path;
}

/** Has the server show a certificate for some names, to whoever connects from now on. */
async function certify(...names: string[]): Promise<void> {
  const { cert, key } = authority.issue({ names });
  for (const [setting, text] of [
    ["ssl_cert_file", cert],
    ["ssl_key_file", key],
  ] as const) {
    const path = join(cluster.run(owner, "SHOW data_directory"), `${setting}.pem`);
    const writing = Bun.spawn(asServer(["sh", "-c", `umask 077; cat > '${path}'`]), {
      stdin: new TextEncoder().encode(text),
    });
    expect(await writing.exited).toBe(0);
    cluster.run(owner, `ALTER SYSTEM SET ${setting} = '${path}'`);
  }
  cluster.run(owner, "ALTER SYSTEM SET ssl = on");
  cluster.run(owner, "SELECT pg_reload_conf()");
  // The server takes it in its own time.
  await Bun.sleep(200);
}

/** A role that must give its password, on an encrypted connection. */
function makeRole(): void {
  const rules = cluster.run(owner, "SHOW hba_file");
  const own = "hostssl all armorhooks all scram-sha-256\nhost all armorhooks all reject\n";
  writeFileSync(rules, own + readFileSync(rules, "utf8"));
  cluster.run(owner, `CREATE ROLE armorhooks LOGIN PASSWORD '${PASSWORD}'`);
  cluster.run(owner, "SELECT pg_reload_conf()");
}

/** An empty database that the role owns. */
function makeOwned(name: string): string {
  cluster.run(owner, `CREATE DATABASE ${name} OWNER armorhooks ENCODING 'UTF8' TEMPLATE template0`);
  return `postgres://armorhooks@localhost:${cluster.port}/${name}?sslmode=verify-full&sslrootcert=${authority.certFile}`;
}

describe.if(hasPostgres() && !withoutOpenssl)("a PostgreSQL that is set up as the README says", () => {
  beforeAll(async () => {
    cluster = await startCluster();
    owner = await cluster.database();
    dir = newDir();
    chmodSync(dir, 0o755);
    authority = createAuthority(dir);
    makeRole();
  }, 30_000);
  afterEach(cleanUp);
  afterAll(async () => {
    await cluster.remove();
    removeDir(dir);
  });

  test("is used by a role of its own, encrypted, with what the environment says alone", async () => {
    await certify("DNS:localhost");
    const env = {
      ARMORHOOKS_DATABASE: makeOwned("hooks"),
      PGPASSWORD: PASSWORD,
      ARMORHOOKS_SECRET_KEY_FILE: keyFile(),
    };
    const one = await startBinary({ env });
    const two = await startBinary({ env, key: one.key, organizationId: one.organizationId });
    const receiver = receive();
    const webhook = await register(one, receiver.url);
    const seen = async () => (await two.api("GET", `/v1/webhooks/${webhook.id}`)).status === 200;
    await until("the other knows it", seen, 1_000);
    for (const { socket } of [one, two]) {
      const scanner = await connectScanner(socket);
      expect(await scanner.send(scan())).toMatchObject([{ ok: true, deliveries: 1 }]);
      scanner.close();
    }
    await until("both arrive", () => receiver.received.length === 2);
    for (const request of receiver.received) verify(webhook, request as Received);
    const sessions =
      "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'armorhooks'";
    expect(cluster.run(owner, sessions)).toBe("t");

    for (const args of [["org", "list"], ["status"], ["key", "list", "--org", one.organizationId]]) {
      const { code, stderr } = await command(args, { cwd: emptyDir(), env });
      // Both daemons may still be sharing out what there is.
      expect([args[0], code, stderr]).toEqual([args[0], 0, ""]);
    }
    const doctor = await command(["doctor", "--json", "--port", "0"], { cwd: emptyDir(), env });
    const { checks } = JSON.parse(doctor.stdout);
    expect(checks.filter(({ status }: { status: string }) => status === "fail")).toEqual([]);
    expect(doctor.stdout).toContain("2 daemons");
    for (const text of [doctor.stdout, JSON.stringify(one.log)]) expect(text).not.toContain(PASSWORD);
  }, 30_000);

  test("is refused when its certificate, the password or its encoding is not right, at once and in one line", async () => {
    await certify("DNS:localhost");
    const url = makeOwned("refused");
    const key = keyFile();
    const refuses = async (database: string, sentence: string, password = PASSWORD) => {
      const env = { ARMORHOOKS_DATABASE: database, PGPASSWORD: password, ARMORHOOKS_SECRET_KEY_FILE: key };
      const begun = performance.now();
      const { code, stderr } = await command(["serve", "--port", "0"], { cwd: emptyDir(), env });
      expect([code, stderr]).toEqual([1, expect.stringContaining(sentence)]);
      expect(stderr.trim().split("\n")).toHaveLength(1);
      expect(stderr).not.toContain(password);
      expect(performance.now() - begun).toBeLessThan(8_000);
    };
    await refuses(url, "password authentication failed", "hunter2");
    await refuses(url.replace(/&sslrootcert=.*/, ""), "certificate");
    await refuses(url.replace(/sslrootcert=.*/, "sslrootcert=/nowhere.pem"), "/nowhere.pem");
    await refuses(url.replace(/\?.*/, "?sslmode=disable"), "rejects connection");
    cluster.run(owner, "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0");
    await refuses(owner.replace(/[^/]*$/, "ascii"), "armorhooks needs UTF8");
    await certify("DNS:other.example");
    await refuses(url, "does not match certificate");
  }, 30_000);
});
