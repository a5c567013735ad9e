import { Webhook as Verifier } from "standardwebhooks";
import {
  LOOPBACK,
  type LogLine,
  newDir,
  type RunningDaemon,
  removeDir,
  runCommand,
  type StartOptions,
  startDaemon,
  until,
} from "./daemon.ts";
import { type Received, type Receiver, startReceiver } from "./receiver.ts";

/** What a test has made and not yet cleaned up, the latest last. */
const made: (() => unknown)[] = [];

/** Has something undone when the test is over. */
export function atEnd(undo: () => unknown): void {
  made.push(undo);
}

/** Ends every process and removes every directory that the test made; for `afterEach`. */
export async function cleanUp(): Promise<void> {
  for (const undo of made.splice(0).reverse()) await undo();
}

/** An empty directory that goes with the test. */
export function emptyDir(): string {
  const dir = newDir();
  atEnd(() => removeDir(dir));
  return dir;
}

/** A receiver that goes with the test. */
export function receive(answer?: Receiver["answer"], port?: number): Receiver {
  const receiver = startReceiver(answer, port);
  atEnd(() => receiver.stop());
  return receiver;
}

/** The compiled binary as a daemon that may deliver to loopback; it goes with the test. */
export async function startBinary(options: StartOptions = {}): Promise<RunningDaemon> {
  const dir = options.dir ?? emptyDir();
  const args = [...LOOPBACK, ...(options.args ?? [])];
  const daemon = await startDaemon({ ...options, compiled: true, dir, args });
  atEnd(() => daemon.stop("SIGKILL"));
  return daemon;
}

/** The same directory, key and organization again, after the daemon has ended. */
export function startAgain(before: RunningDaemon, options: StartOptions = {}): Promise<RunningDaemon> {
  const { dir, key, organizationId } = before;
  return startBinary({ dir, key, organizationId, ...options });
}

/** Runs a command of the compiled binary. */
export function command(args: string[], options: Omit<Parameters<typeof runCommand>[1], "compiled"> = {}) {
  return runCommand(args, { ...options, compiled: true });
}

/** Runs a command with `--json` that must succeed; answers what it printed. */
// biome-ignore lint/suspicious/noExplicitAny: what a command prints is what the tests check.
export async function commandJson(cwd: string, ...args: string[]): Promise<any> {
  const { stdout, stderr, code } = await command([...args, "--json"], { cwd });
  if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

export interface Registered {
  id: string;
  secret: string;
}

/** Registers a webhook for all tiers. */
export async function register(daemon: RunningDaemon, url: string): Promise<Registered> {
  const events = ["red_tier", "yellow_tier", "green_tier"];
  const { status, body } = await daemon.api("POST", "/v1/webhooks", { url, events });
  if (status !== 201) throw new Error(`${status}: ${JSON.stringify(body)}`);
  return body.webhook;
}

/** Throws unless the request carries a signature made with this secret, as it was returned. */
export function verify({ secret }: Registered, { body, headers }: Received): unknown {
  return new Verifier(secret).verify(body, headers);
}

/** The log lines of a kind so far. */
export function linesOf(daemon: RunningDaemon, msg: string): LogLine[] {
  return daemon.log.filter((line) => line.msg === msg);
}

/** Waits until the daemon has logged so many lines of a kind. */
export async function untilLogged(daemon: RunningDaemon, msg: string, count = 1): Promise<LogLine[]> {
  await until(`"${msg}" is logged ${count} times`, () => linesOf(daemon, msg).length >= count);
  return linesOf(daemon, msg);
}

/** The deliveries of a webhook, newest first. */
// biome-ignore lint/suspicious/noExplicitAny: what an answer holds is what the tests check.
export async function deliveriesOf(daemon: RunningDaemon, webhookId: string): Promise<any[]> {
  return (await daemon.api("GET", `/v1/webhooks/${webhookId}/deliveries?limit=100`)).body.deliveries;
}

/** The first delivery of a webhook, with its attempts. */
// biome-ignore lint/suspicious/noExplicitAny: as above.
export async function firstDelivery(daemon: RunningDaemon, webhookId: string): Promise<any> {
  const first = (await deliveriesOf(daemon, webhookId)).at(-1);
  return (await daemon.api("GET", `/v1/deliveries/${first.id}`)).body.delivery;
}
