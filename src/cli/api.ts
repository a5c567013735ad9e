import { type Command, InvalidArgumentError, Option } from "commander";
import { IndigiArmor, IndigiArmorError } from "../client/index.ts";
import { UsageError } from "../errors.ts";

/** Commands that ask a daemon's API, here or elsewhere, as a program with its key would. */

export interface ApiOptions {
  key?: string;
  url: string;
  json?: boolean;
}

/** Adds what every one of them takes. */
export function addApiOptions(command: Command): Command {
  return command
    .addOption(new Option("--key <KEY>", "API key").env("ARMORHOOKS_KEY"))
    .addOption(
      new Option("--url <URL>", "where the API is").env("ARMORHOOKS_URL").default("http://127.0.0.1:8787"),
    )
    .option("--json", "print JSON, as the API answers it");
}

/** Throws UsageError without a key, or with one or a URL that cannot be. */
export function connectToApi({ key, url }: ApiOptions): IndigiArmor {
  if (key === undefined) {
    throw new UsageError(
      "an API key is needed: name it with --key or in ARMORHOOKS_KEY (armorhooks key create makes one)",
    );
  }
  try {
    return new IndigiArmor(key, {
      baseUrl: url,
      // A proxy in the environment is for other hosts than a daemon's.
      fetch: (target, init) => fetch(target, { ...init, ...{ proxy: false } }),
    });
  } catch (error) {
    throw error instanceof IndigiArmorError ? new UsageError(error.message) : error;
  }
}

/** Runs a call; what the API refuses, or that it does not answer, is one line and exit code 1. */
export async function asked<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw error instanceof IndigiArmorError ? new UsageError(error.message, 1) : error;
  }
}

/** Parts of a comma-separated list, none of them empty. Throws InvalidArgumentError. */
export function parseList(text: string): string[] {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.every((part) => part !== "")) return parts;
  throw new InvalidArgumentError("Write a comma-separated list.");
}
