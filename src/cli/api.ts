import { type Command, InvalidArgumentError, Option } from "commander";
import { parseJson } from "../client/answers.ts";
import { isObject } from "../client/errors.ts";
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

/** What the API has answered with an error, which --json prints as it came. */
export class ApiRefusal extends UsageError {
  readonly answer: object;

  constructor(message: string, answer: object) {
    super(message, 1);
    this.answer = answer;
  }
}

export interface ApiConnection {
  client: IndigiArmor;
  /** What a call has thrown, for whom it concerns: what the API refuses, or that it does not answer, has exit code 1. */
  outward(error: unknown): unknown;
}

/** Throws UsageError without a key, or with one or a URL that cannot be. */
export function connectToApi({ key, url, json = false }: ApiOptions): ApiConnection {
  if (key === undefined) {
    throw new UsageError(
      "an API key is needed: name it with --key or in ARMORHOOKS_KEY (armorhooks key create makes one)",
    );
  }
  let refused: object | null = null;
  const outward = (error: unknown): unknown => {
    if (!(error instanceof IndigiArmorError)) return error;
    if (refused === null) return new UsageError(inFlags(error), 1);
    return json ? new ApiRefusal(error.message, refused) : new UsageError(error.message, 1);
  };
  try {
    const client = new IndigiArmor(key, {
      baseUrl: url,
      async fetch(target, init) {
        refused = null;
        // A proxy in the environment is for other hosts than a daemon's.
        const answer = await fetch(target, { ...init, ...{ proxy: false } });
        if (!answer.ok) refused = readEnvelope(await answer.clone().text());
        return answer;
      },
    });
    return { client, outward };
  } catch (error) {
    throw error instanceof IndigiArmorError ? new UsageError(inFlags(error)) : error;
  }
}

/** What the client says of its own arguments, in those of the command line. */
function inFlags({ message }: IndigiArmorError): string {
  return message
    .replace("baseUrl", "--url (ARMORHOOKS_URL)")
    .replace(/^The API key/, "The API key of --key (ARMORHOOKS_KEY)")
    .replace(/, or raise timeout$/, "");
}

/** Makes one call. Rejects with UsageError when the API refuses it, or does not answer. */
export async function ask<T>(options: ApiOptions, call: (client: IndigiArmor) => Promise<T>): Promise<T> {
  const { client, outward } = connectToApi(options);
  try {
    return await call(client);
  } catch (error) {
    throw outward(error);
  }
}

/** The API's error envelope; null for what something else has answered. */
function readEnvelope(text: string): object | null {
  const body = parseJson(text);
  return isObject(body) && isObject(body.error) && typeof body.error.code === "string" ? body : null;
}

/** Parts of a comma-separated list, none of them empty. Throws InvalidArgumentError. */
export function parseList(text: string): string[] {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.every((part) => part !== "")) return parts;
  throw new InvalidArgumentError("Write a comma-separated list.");
}
