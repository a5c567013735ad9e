import { resolve } from "node:path";
import { toConfig } from "../config.ts";
import { type SecretKeySource, secretKeySource } from "../store/secret-key.ts";

export interface KeyOptions {
  dataDir: string;
  secretKeyFile?: string;
}

/** Where `serve` with the same options would find the secret key. */
export function keySourceOf({ dataDir, secretKeyFile }: KeyOptions): SecretKeySource {
  // The socket plays no part here, so its path must not be refused either.
  const options = { dataDir, socket: "unused", ...(secretKeyFile !== undefined && { secretKeyFile }) };
  return secretKeySource(resolve(dataDir), toConfig(options).secretKeyFile);
}
