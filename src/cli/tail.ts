import { Command } from "commander";
import { IndigiArmorError, type Outcome } from "../client/index.ts";
import { type ApiOptions, addApiOptions, connectToApi } from "./api.ts";
import { paint, printable } from "./output.ts";
import { print } from "./results.ts";
import { watchSignals } from "./signals.ts";

/** `armorhooks tail` */
export function tailCommand(): Command {
  return addApiOptions(
    new Command("tail").description("print outcomes as they happen, one line each, until interrupted"),
  )
    .addHelpText("after", "\nExample:\n  armorhooks tail --json | grep '\"failed\"'")
    .action(tail);
}

/** Before the next connection, when a daemon was restarted for instance. */
const PAUSE_MS = 1_000;

async function tail(options: ApiOptions): Promise<void> {
  const { client, outward } = connectToApi(options);
  const ending = new AbortController();
  const interrupted = watchSignals()
    .next()
    .then(() => ending.abort());
  const { signal } = ending;
  let connected = false;
  while (!signal.aborted) {
    try {
      for await (const outcome of client.stream({ signal })) {
        connected = true;
        // A reader that takes nothing more must not hold up the end.
        await Promise.race([print(options.json ? JSON.stringify(outcome) : lineOf(outcome)), interrupted]);
      }
      connected = true;
    } catch (error) {
      if (!connected || !mayPass(error)) throw outward(error);
    }
    if (signal.aborted) return;
    console.error("armorhooks: the stream has ended; connecting again");
    await Bun.sleep(PAUSE_MS);
  }
}

/** Whether it may be otherwise in a moment: the daemon is away, or stopping. */
function mayPass(error: unknown): boolean {
  return (
    error instanceof IndigiArmorError &&
    (error.status === null || error.status >= 500 || error.status === 429)
  );
}

/** An outcome for people. */
function lineOf(outcome: Outcome): string {
  return `${paint("dim", new Date().toISOString().slice(11, 23))}  ${outcome.type.padEnd(8)}  ${wordsOf(outcome)}`;
}

function wordsOf(outcome: Outcome): string {
  switch (outcome.type) {
    case "event": {
      const { id, external_id, event, deliveries } = outcome.data;
      const own = external_id === null ? "" : ` (${printable(external_id)})`;
      return `${id}${own}  ${event}  ${deliveries} ${deliveries === 1 ? "delivery" : "deliveries"}`;
    }
    case "attempt": {
      const { delivery_id, webhook_id, number, status, error, detail, duration_ms } = outcome.data;
      const what =
        error === null ? paint("green", `${status}`) : paint("yellow", status === null ? error : `${status}`);
      const why = detail === null ? "" : `  ${printable(detail)}`;
      return `${delivery_id}  to ${webhook_id}  attempt ${number}: ${what} in ${duration_ms} ms${why}`;
    }
    case "delivery": {
      const { id, webhook_id, status, attempt_count } = outcome.data;
      const attempts = `${attempt_count} ${attempt_count === 1 ? "attempt" : "attempts"}`;
      return `${id}  to ${webhook_id}  ${paint(status === "delivered" ? "green" : "red", status)} after ${attempts}`;
    }
    case "webhook": {
      const { id, name, change, reason } = outcome.data;
      return `${id}${name ? ` (${printable(name)})` : ""}  ${change}${reason ? `: ${reason}` : ""}`;
    }
    case "missed":
      return paint("yellow", `${outcome.data.count} were left out, as they came too fast`);
  }
}
