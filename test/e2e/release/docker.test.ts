import { afterEach, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT, run } from "../../../release/run.ts";
import { BINARY, scan, until } from "../../support/daemon.ts";
import { atEnd, cleanUp, emptyDir } from "../../support/e2e.ts";
import { goProgram } from "../../support/release/go-programs.ts";
import { mountDevices } from "../../support/release/roots.ts";
import { read } from "../../support/sources.ts";

afterEach(cleanUp);

const COMPOSE_CHECKER = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2";

interface Service {
  read_only: boolean;
  stop_grace_period: string;
  volumes: { type: string; source: string; target: string }[];
  ports: { host_ip: string }[];
}

test("the compose file is one, with a volume for the data and one for the socket", async () => {
  const text = await run([await goProgram(COMPOSE_CHECKER), join(ROOT, "compose.yaml")]);
  const { services, volumes } = Bun.YAML.parse(text) as {
    services: Record<string, Service>;
    volumes: object;
  };
  const service = services["armorhooks"] as Service;
  expect(service.volumes.map(({ type, source, target }) => `${type} ${source} ${target}`)).toEqual([
    "volume data /data",
    "volume socket /run/armorhooks",
  ]);
  expect(service.ports.map(({ host_ip }) => host_ip)).toEqual(["127.0.0.1"]);
  expect(service.read_only).toBe(true);
  expect(Object.keys(volumes)).toEqual(["data", "socket"]);
  // What the image keeps is what the volumes are for.
  expect(read("Dockerfile")).toContain('VOLUME ["/data", "/run/armorhooks"]');
});

test("the root of the image, made as the Dockerfile makes it, runs the daemon as its user", async () => {
  const directory = emptyDir();
  const step = read("Dockerfile").match(/^RUN (set -eu;(?:.*\\\n)+.*)$/m)?.[1];
  if (!step) throw new Error("the Dockerfile has no step that makes the root");
  const here = step
    .replaceAll("\\\n", "\n")
    .replaceAll("/root-fs", join(directory, "root"))
    .replaceAll("/owned", join(directory, "owned"))
    .replaceAll("dist/armorhooks", BINARY);
  await run(["sh", "-c", here]);
  const root = join(directory, "root");
  // As the COPY and VOLUME lines after it do.
  await run(["cp", "-a", join(directory, "owned/data"), join(root, "data")]);
  await run(["cp", "-a", join(directory, "owned/run"), join(root, "run/armorhooks")]);
  expect(readdirSync(root).sort()).not.toContain("bin");

  await mountDevices(root);

  const inside = ["chroot", "--userspec=65532:65532", root, "/armorhooks"];
  const env = {
    PATH: process.env["PATH"] ?? "",
    ARMORHOOKS_DATA_DIR: "/data",
    ARMORHOOKS_SOCKET: "/run/armorhooks/events.sock",
    ARMORHOOKS_PORT: "0",
  };
  await run([...inside, "org", "create", "--name", "acme"], { env });
  const daemon = Bun.spawn([...inside, "serve"], { env, stdout: "ignore" });
  atEnd(() => daemon.kill("SIGKILL"));
  await until("its socket is there", () => existsSync(join(root, "run/armorhooks/events.sock")));
  const child = Bun.spawn([...inside, "send"], {
    env,
    stdin: new TextEncoder().encode(`${JSON.stringify(scan())}\n`),
    stdout: "pipe",
    stderr: "ignore",
  });
  expect(JSON.parse(await new Response(child.stdout).text())).toMatchObject({ ok: true, deliveries: 0 });
  daemon.kill("SIGTERM");
  expect(await daemon.exited).toBe(0);
}, 30_000);
