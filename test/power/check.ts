import { Database } from "bun:sqlite";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Webhook as Verifier } from "standardwebhooks";
import { createIdFormat } from "../../src/ids.ts";
import {
  connectScanner,
  LOOPBACK,
  newDir,
  type RunningDaemon,
  removeDir,
  scan,
  startDaemon,
} from "../support/daemon.ts";
import type { Received, Receiver } from "../support/receiver.ts";
import { type Image, writeImage } from "./image.ts";
import type { Facts, WebhookVersion } from "./recording.ts";
import { pickState } from "./work.ts";

/** A cut, as the start after it finds things. */
export interface Cut {
  image: Image;
  facts: Facts;
  /** The length of the record at the cut. */
  position: number;
  library: string;
  /** Where the webhooks of the recording lead. */
  receiver: Receiver;
}

/** Seconds by which the clock is back after the cut: as on a machine whose clock stands still without power. */
const CLOCK = "-3600";

/** Starts the program on what a cut has left; answers what is wrong then, null when all is well. */
export async function findFault({ image, library, ...known }: Cut): Promise<string | null> {
  const dir = newDir();
  let daemon: RunningDaemon | null = null;
  try {
    writeImage(image, dir);
    const env = { LD_PRELOAD: library, ARMORHOOKS_POWER_CLOCK: CLOCK };
    if (isMoved(dir, known)) return await findStart(dir, env);
    daemon = await startDaemon({ compiled: true, dir, args: [...LOOPBACK, "--paused"], env });
    await checkWebhooks(daemon, known);
    checkEvents(daemon, known);
    await checkIds(daemon, known);
    checkFiles(dir, known);
    return null;
  } catch (error) {
    return (error as Error).message;
  } finally {
    await daemon?.stop("SIGKILL");
    removeDir(dir);
  }
}

/** Whether a directory says that what was in it is elsewhere, or on its way there. */
function isMoved(dir: string, { facts: { moved }, position }: Known): boolean {
  const mark = join(dir, "data", "moved-to");
  if (!existsSync(mark)) {
    if (moved !== null && moved.at <= position) throw new Error("nothing says that all was moved away");
    return false;
  }
  const [text = "", state = ""] = readFileSync(mark, "utf8").split("\n");
  if (state !== "" && moved !== null && moved.at <= position) throw new Error(`the move is still ${state}`);
  if (moved === null || !moved.to.endsWith(text.split("/").at(-1) as string) || text === "")
    throw new Error(`what was moved away is said to be at ${JSON.stringify(text)}`);
  return true;
}

/** Nobody may start by mistake on what was moved away; answers what is wrong. */
async function findStart(dir: string, env: Record<string, string>): Promise<string | null> {
  try {
    const daemon = await startDaemon({ compiled: true, dir, args: [...LOOPBACK, "--paused"], env });
    await daemon.stop("SIGKILL");
  } catch (error) {
    return (error as Error).message.includes(" moved to ") ? null : (error as Error).message;
  }
  return "a daemon starts on what was moved away";
}

type Known = Omit<Cut, "image" | "library">;

/** What a webhook may be after a cut: what was answered last, or what was asked for since. */
function allowed(versions: readonly WebhookVersion[], position: number): WebhookVersion["state"][] {
  const last = versions.findLastIndex(({ at }) => at <= position);
  const later = versions.slice(last + 1).filter(({ from }) => from <= position);
  const before = last < 0 ? null : (versions[last] as WebhookVersion).state;
  return [before, ...later.map(({ state }) => state)];
}

async function checkWebhooks(daemon: RunningDaemon, { facts, position, receiver }: Known): Promise<void> {
  const key = keyAfter(daemon, { facts, position });
  const { body, status } = await ask(daemon, key, "GET", "/v1/webhooks");
  if (status !== 200) throw new Error(`the key that was printed is refused: ${status}`);
  const listed = new Map<string, State>(
    body.webhooks.map((webhook: State & { id: string }) => [webhook.id, webhook]),
  );
  for (const [id, versions] of facts.webhooks) {
    const states = allowed(versions, position);
    const found = shown(listed.get(id) ?? null);
    const fits = states.filter((state) => shown(state) === found);
    if (fits.length === 0)
      throw new Error(`webhook ${id} is ${found}, not ${states.map(shown).join(" or ")}`);
    listed.delete(id);
    const secrets = fits.flatMap((state) => (state ? [state.secret] : []));
    if (secrets.length === 0) continue;
    const from = receiver.received.length;
    await sendTest(daemon, key, id);
    if (
      !receiver.received
        .slice(from)
        .some((request) => secrets.some((secret) => isSignedWith(secret, request)))
    )
      throw new Error(`webhook ${id} does not sign with a secret that was given out`);
  }
  if (listed.size > 0) throw new Error(`nobody made the webhooks ${[...listed.keys()]}`);
}

/** The receiver is in this process, which other checks may hold up for longer than a test waits. */
const TRIES = 3;

async function sendTest(daemon: RunningDaemon, key: string, id: string): Promise<void> {
  let answer: unknown;
  for (let tried = 0; tried < TRIES; tried += 1) {
    const { body } = await ask(daemon, key, "POST", `/v1/webhooks/${id}/test`);
    if (body.success === true) return;
    answer = body;
  }
  throw new Error(`a test of ${id} answered ${JSON.stringify(answer)}`);
}

type State = NonNullable<WebhookVersion["state"]>;

function shown(state: State | null): string {
  return JSON.stringify(state && pickState(state));
}

/** What was printed before the first start was ready may not hold; then the next start has printed another. */
function keyAfter({ key }: RunningDaemon, { facts, position }: Pick<Known, "facts" | "position">): string {
  const holds = facts.readyAt !== null && facts.readyAt <= position;
  if (holds || key === "") return facts.key;
  return key;
}

// biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what is checked.
async function ask({ url }: RunningDaemon, key: string, method: string, path: string): Promise<any> {
  const answer = await fetch(url + path, { method, headers: { authorization: `Bearer ${key}` } });
  return { status: answer.status, body: await answer.json() };
}

/** Whatever its age: the clock is back. */
function isSignedWith(secret: string, { headers, body }: Received): boolean {
  const at = new Date(Number(headers["webhook-timestamp"]) * 1000);
  const signature = new Verifier(secret).sign(headers["webhook-id"] as string, at, body);
  return (headers["webhook-signature"] as string).split(" ").includes(signature);
}

/** The database is whole and has every event that was acked, with its deliveries. */
function checkEvents({ dataDir }: RunningDaemon, { facts, position }: Known): void {
  const sqlite = new Database(join(dataDir, "armorhooks.db"), { readonly: true });
  try {
    const found = sqlite.query("PRAGMA integrity_check").get();
    if (!Bun.deepEquals(found, { integrity_check: "ok" })) throw new Error(JSON.stringify(found));
    const tag = sqlite
      .query<{ value: string }, []>("SELECT value FROM meta WHERE key = 'installation_tag'")
      .get();
    const { format } = createIdFormat(tag?.value ?? "");
    const stored = new Map(
      sqlite
        .query<{ id: number; n: number }, []>(
          "SELECT e.id AS id, count(d.id) AS n FROM events e LEFT JOIN deliveries d ON d.event_id = e.id GROUP BY e.id",
        )
        .all()
        .map(({ id, n }) => [format(id), n]),
    );
    for (const { at, id, deliveries } of facts.acks) {
      if (at > position) continue;
      if (stored.get(id) !== deliveries)
        throw new Error(`the acked event ${id} has ${stored.get(id)} deliveries, not ${deliveries}`);
    }
  } finally {
    sqlite.close();
  }
}

/** A new event gets an id beyond any that somebody has seen. */
async function checkIds({ socket }: RunningDaemon, { facts, position }: Known): Promise<void> {
  const seen = facts.seen.filter(({ at }) => at <= position).map(({ id }) => id);
  const scanner = await connectScanner(socket);
  try {
    const [ack] = await scanner.send(scan());
    if (!ack?.ok) throw new Error(`a new event is answered ${JSON.stringify(ack)}`);
    const last = seen.sort().at(-1) ?? "";
    if ((ack.id as string) <= last)
      throw new Error(`a new event has the id ${ack.id}, and ${last} was seen before`);
  } finally {
    scanner.close();
  }
}

/** What a command said it had written is there, and whole. */
function checkFiles(dir: string, { facts, position }: Known): void {
  for (const { at, path } of facts.files) {
    const file = join(dir, path);
    if (!existsSync(file)) {
      if (at <= position) throw new Error(`${path} is gone`);
      continue;
    }
    const sqlite = new Database(file, { readonly: true });
    const found = sqlite.query("PRAGMA integrity_check").get();
    const { n } = sqlite.query("SELECT count(*) AS n FROM events").get() as { n: number };
    sqlite.close();
    if (!Bun.deepEquals(found, { integrity_check: "ok" }))
      throw new Error(`${path}: ${JSON.stringify(found)}`);
    if (n === 0) throw new Error(`${path} lacks the events`);
  }
}
