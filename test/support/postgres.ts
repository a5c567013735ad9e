import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SQL } from "bun";

/** Where Debian's package has its programs, the newest version last. */
const VERSIONS = "/usr/lib/postgresql";

function programs(): string | null {
  const versions = existsSync(VERSIONS) ? readdirSync(VERSIONS).sort((a, b) => Number(a) - Number(b)) : [];
  const found = versions
    .map((version) => join(VERSIONS, version, "bin"))
    .filter((path) => existsSync(join(path, "initdb")));
  return found.at(-1) ?? null;
}

/** Whether there is a PostgreSQL server to test with. Says so once where there is none, which CI does not accept. */
export function hasPostgres(): boolean {
  if (programs() !== null) return true;
  if (process.env["CI"]) throw new Error("these tests need Debian's package postgresql");
  console.log("skipped: no PostgreSQL server is installed (Debian: apt-get install postgresql)");
  return false;
}

/** A PostgreSQL server of the tests' own, in a directory of its own, that only loopback reaches. */
export interface Cluster {
  port: number;
  /** Makes an empty database and answers its URL. */
  database(parameters?: string): Promise<string>;
  /** Runs statements as its owner, waiting here and now. */
  run(url: string, statements: string): string;
  /** Ends it in one of the ways that it knows, or kills it. */
  stop(mode?: "fast" | "immediate"): Promise<void>;
  start(): Promise<void>;
  /** Its first process, which has all others as children. */
  pid(): number;
  remove(): Promise<void>;
}

/** The server does not run as root. */
export function asServer(command: string[]): string[] {
  if (process.getuid?.() !== 0) return command;
  return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", ...command];
}

/** `syncs`: whether it waits for the disk, as it would anywhere but in tests. */
export const startCluster = ({ syncs = false } = {}): Promise<Cluster> => start({ syncs });

/** A replica of a cluster, which waits for it with each commit from now on; `promote` makes it the first. */
export async function startReplica(first: Cluster): Promise<Cluster & { promote(): void }> {
  const replica = await start({ syncs: false, of: first.port });
  const server = (port: number) => `postgres://postgres@127.0.0.1:${port}/postgres`;
  first.run(server(first.port), "ALTER SYSTEM SET synchronous_standby_names = '*'");
  first.run(server(first.port), "SELECT pg_reload_conf()");
  return { ...replica, promote: () => void replica.run(server(replica.port), "SELECT pg_promote()") };
}

/** `of`: the port of a server to copy and follow. */
async function start({ syncs, of = null }: { syncs: boolean; of?: number | null }): Promise<Cluster> {
  const bin = programs();
  if (bin === null) throw new Error("no PostgreSQL server is installed");
  const dir = mkdtempSync(join(tmpdir(), "armorhooks-postgres-"));
  const data = join(dir, "data");
  mkdirSync(data, { mode: 0o700 });
  if (process.getuid?.() === 0) await exec(["chown", "-R", "postgres", dir]);
  const init = [
    join(bin, "initdb"),
    "-A",
    "trust",
    "-U",
    "postgres",
    "--no-sync",
    "-E",
    "UTF8",
    "--locale=C",
  ];
  const copy = [
    join(bin, "pg_basebackup"),
    "-R",
    "-X",
    "stream",
    "-c",
    "fast",
    "--no-sync",
    "-U",
    "postgres",
  ];
  const make = of === null ? init : [...copy, "-h", "127.0.0.1", "-p", String(of)];
  await exec(asServer([...make, "-D", data]));
  const port = freePort();
  let child: ReturnType<typeof Bun.spawn> | null = null;
  let count = 0;

  const run = async (): Promise<void> => {
    const options = `${syncs ? "" : "fsync=off full_page_writes=off "}listen_addresses=127.0.0.1 unix_socket_directories=${dir} max_connections=200 shared_buffers=64MB port=${port}`;
    const flags = options.split(" ").flatMap((option) => ["-c", option]);
    child = Bun.spawn(asServer([join(bin, "postgres"), "-D", data, ...flags]), {
      stdin: "ignore",
      stdout: "ignore",
      stderr: Bun.file(join(dir, "log")),
    });
    const end = performance.now() + 20_000;
    while (!(await answers(port))) {
      if (performance.now() > end) throw new Error(await Bun.file(join(dir, "log")).text());
      await Bun.sleep(20);
    }
  };

  const stop = async (mode: "fast" | "immediate" = "immediate"): Promise<void> => {
    child?.kill(mode === "fast" ? "SIGINT" : "SIGQUIT");
    await child?.exited;
    child = null;
  };

  await run();
  return {
    port,
    async database(parameters = "") {
      count += 1;
      const name = `test_${count}`;
      const sql = new SQL(`postgres://postgres@127.0.0.1:${port}/postgres`, { max: 1 });
      await sql.unsafe(`CREATE DATABASE ${name}`);
      await sql.close();
      return `postgres://postgres@127.0.0.1:${port}/${name}${parameters}`;
    },
    run(url, statements) {
      const { stdout, stderr, exitCode } = Bun.spawnSync([
        join(bin, "psql"),
        "-X",
        "-q",
        "-A",
        "-t",
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        statements,
        url.split("?")[0] as string,
      ]);
      if (exitCode !== 0) throw new Error(stderr.toString());
      return stdout.toString().trim();
    },
    stop,
    start: run,
    pid: () => child?.pid ?? 0,
    async remove() {
      await stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** An empty database of a cluster in another encoding than UTF8; answers its URL. */
export function makeLatin(cluster: Cluster, name = "latin"): string {
  const server = `postgres://postgres@127.0.0.1:${cluster.port}/`;
  cluster.run(`${server}postgres`, `CREATE DATABASE ${name} ENCODING 'LATIN1' TEMPLATE template0`);
  return server + name;
}

async function exec(command: string[]): Promise<void> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  if ((await child.exited) !== 0)
    throw new Error(`${command.join(" ")}: ${await new Response(child.stderr).text()}`);
}

async function answers(port: number): Promise<boolean> {
  const sql = new SQL(`postgres://postgres@127.0.0.1:${port}/postgres`, { max: 1, connectionTimeout: 2 });
  try {
    await sql.unsafe("SELECT 1");
    return true;
  } catch {
    // Not yet.
    return false;
  } finally {
    await sql.close({ timeout: 0 }).catch(() => {});
  }
}

export function freePort(): number {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = server;
  server.stop(true);
  return port;
}
