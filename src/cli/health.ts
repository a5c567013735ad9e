import { Command } from "commander";
import { optionFor } from "../config/options.ts";
import { messageOf, UsageError } from "../errors.ts";
import { print } from "./results.ts";

const TIMEOUT_MS = 3_000;

/** `armorhooks health` */
export function healthCommand(setExitCode: (code: number) => void): Command {
  return new Command("health")
    .description(
      "ask the daemon whether it accepts work; exit code 0 when GET /health answers 200 within 3 s, otherwise 1",
    )
    .addOption(optionFor("host"))
    .addOption(optionFor("port"))
    .addHelpText("after", "\nExample:\n  armorhooks health --port 8787 && echo healthy")
    .action(async ({ host, port }: { host: string; port: number }) => {
      if (port === 0) throw new UsageError("--port must name the port that the daemon listens on");
      const fault = await askHealth(host, port);
      if (fault === null) await print("ok");
      else console.error(`armorhooks: ${fault}`);
      setExitCode(fault === null ? 0 : 1);
    });
}

/** Null when the daemon at an address accepts work, otherwise why it is not known to. */
export async function askHealth(host: string, port: number): Promise<string | null> {
  const url = `http://${connectable(host)}:${port}/health`;
  try {
    const answer = await fetch(url, {
      // A proxy in the environment is for other hosts than this one.
      ...{ proxy: false },
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await answer.arrayBuffer();
    return answer.status === 200 ? null : `${url} answers ${answer.status}`;
  } catch (error) {
    return `${url} does not answer: ${messageOf(error)}`;
  }
}

/** An address to listen on as one to connect to, ready for a URL. */
export function connectable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  const address = host.replace(/^\[|\]$/g, "");
  if (!address.includes(":")) return address;
  return /^[0:]+$/.test(address) ? "[::1]" : `[${address}]`;
}
