import { join } from "node:path";
import { Command, InvalidArgumentError, type Option } from "commander";
import type { Config } from "../config/config.ts";
import { unknownVariables } from "../config/environment.ts";
import { isDefaultOf, serveOptions } from "../config/options.ts";
import { shownValue } from "../config/parse.ts";
import { toConfig } from "../config/resolve.ts";
import { messageOf, Refusal, UsageError } from "../errors.ts";
import { AS_DAEMON, isDenied, isThere, MEND_PATH } from "../files.ts";
import type { Inspection } from "../store/inspection.ts";
import { DATABASE_FILE, inspectDatabase, inspectSharedDatabase, runningOn } from "../store/open.ts";
import type { SharedInspection } from "../store/shared-inspection.ts";
import {
  checkClock,
  checkDatabase,
  checkDataDir,
  checkDisk,
  checkSecretKey,
  type Finding,
  fail,
} from "./checks.ts";
import { checkPort, checkSocket } from "./listening-checks.ts";
import { checkDns, checkProxy } from "./network-checks.ts";
import { paint } from "./output.ts";
import { print, printJson } from "./results.ts";
import {
  checkAcks,
  checkLatency,
  checkLeases,
  checkServer,
  checkSharedClock,
  checkSharedKey,
} from "./shared-checks.ts";

interface Check extends Finding {
  name: string;
}

const HELP = `
Takes the options of serve, from flags and environment, and changes nothing. Run it as the daemon's user.
The database is read whole, which takes about a second for each gigabyte.

Exit codes:
  0  nothing is wrong (there may be warnings)
  1  something is wrong

Example:
  armorhooks doctor --data-dir /var/lib/armorhooks --socket /run/armorhooks/events.sock`;

/** `armorhooks doctor` */
export function doctorCommand(setExitCode: (code: number) => void): Command {
  const command = new Command("doctor").description(
    "check configuration, data directory, database, secret key, socket, port, DNS, proxy and clock, and say what to do",
  );
  const faults: string[] = [];
  for (const option of serveOptions()) command.addOption(tolerant(option, faults));
  return command
    .option("--json", "print JSON")
    .addHelpText("after", HELP)
    .action(async ({ json, ...options }: { json?: boolean }, command: Command) => {
      const checks = await diagnose(options, faults, isDefaultOf(command));
      const isWell = checks.every(({ status }) => status !== "fail");
      await (json ? printJson({ ok: isWell, checks }) : print(textOf(checks)));
      setExitCode(isWell ? 0 : 1);
    });
}

/** Where serve would end at the first bad value, doctor notes it and goes on with the default. */
function tolerant(option: Option, faults: string[]): Option {
  const parse = option.parseArg;
  const fallback = option.defaultValue;
  if (!parse) return option;
  return option.argParser((text: string) => {
    try {
      return parse(text, fallback as never);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      faults.push(`${option.long} (${option.envVar}) "${shownValue(text)}": ${error.message}`);
      return fallback;
    }
  });
}

async function inspectShared({ database }: Config, faults: string[]): Promise<SharedInspection | null> {
  if (database === null) return null;
  try {
    return await inspectSharedDatabase(database);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    faults.push(error.message);
    return null;
  }
}

/** Null when there is no database. */
function inspectOwn(dataDir: string): Inspection | null {
  try {
    return isThere(join(dataDir, DATABASE_FILE)) ? inspectDatabase(dataDir) : null;
  } catch {
    // Whoever may not look there is told so by the checks of the data directory and the database.
    return null;
  }
}

type NamedCheck = [name: string, check: () => Finding | Promise<Finding>];

/** Of a database in the data directory. */
function ownChecks(config: Config, inspection: Inspection | null): NamedCheck[] {
  return [
    ["database", () => checkDatabase(config, inspection)],
    ["secret key", () => checkSecretKey(config, inspection)],
  ];
}

/** Of one that daemons share. */
function sharedChecks(config: Config, inspection: SharedInspection): NamedCheck[] {
  return [
    ["database", () => checkServer(inspection)],
    ["acks", () => checkAcks(inspection)],
    ["latency", () => checkLatency(inspection)],
    ["leases", () => checkLeases(inspection)],
    ["secret key", () => checkSharedKey(config, inspection)],
  ];
}

async function diagnose(
  options: object,
  faults: string[],
  isDefault: (name: keyof Config) => boolean,
): Promise<Check[]> {
  // What serve would be refused for is noted, and the rest looked at all the same.
  const config = toConfig(options, { refuse: ({ message }) => faults.push(message), isDefault });
  const { dataDir } = config;
  const shared = await inspectShared(config, faults);
  const own = shared ? null : inspectOwn(dataDir);
  const inspection = shared ?? own;
  const running = runningOn(dataDir);
  const checks: NamedCheck[] = [
    ["config", () => checkConfig(faults)],
    ["data dir", () => checkDataDir(config)],
    ["disk", () => checkDisk(config)],
    ...(shared ? sharedChecks(config, shared) : ownChecks(config, own)),
    ["socket", () => checkSocket(config, running)],
    ["port", () => checkPort(config, running)],
    ["dns", () => checkDns(config, inspection)],
    ["proxy", () => checkProxy(config, inspection)],
    ["clock", () => (shared ? checkSharedClock(shared) : checkClock(own, Date.now()))],
  ];
  return Promise.all(checks.map(async ([name, check]) => ({ name, ...(await attempt(check)) })));
}

/** A check that cannot be made is a finding, not the end of the others. */
async function attempt(check: () => Finding | Promise<Finding>): Promise<Finding> {
  try {
    return await check();
  } catch (error) {
    if (error instanceof Refusal) return fail(error.problem, error.hint);
    return fail(`cannot be checked: ${messageOf(error)}`, isDenied(error) ? AS_DAEMON : MEND_PATH);
  }
}

function checkConfig(faults: readonly string[]): Finding {
  const unknown = unknownVariables();
  if (faults.length > 0) {
    return { status: "fail", message: faults.join("; "), hint: "see armorhooks serve --help" };
  }
  if (unknown.length > 0) {
    return {
      status: "warn",
      message: `${unknown.join(", ")} mean nothing`,
      hint: "see armorhooks serve --help",
    };
  }
  return { status: "ok", message: "every option is valid" };
}

const COLOURS = { ok: "green", warn: "yellow", fail: "red" } as const;

function textOf(checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.flatMap(({ name, status, message, hint }) => [
    `${paint(COLOURS[status], status.padEnd(4))}  ${name.padEnd(width)}  ${message}`,
    ...(hint === undefined ? [] : [`${" ".repeat(6 + width)}  → ${hint}`]),
  ]);
  return lines.join("\n");
}
