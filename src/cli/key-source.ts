import { resolve } from "node:path";
import { secretKeyPath } from "../config/environment.ts";
import { type SecretKeySource, secretKeySource } from "../secrets/key-file.ts";

export interface KeyOptions {
  dataDir: string;
  database?: string;
  secretKeyFile?: string;
}

/** Where `serve` with the same options would find the secret key. */
export function keySourceOf({ dataDir, secretKeyFile }: KeyOptions): SecretKeySource {
  return secretKeySource(resolve(dataDir), secretKeyPath(secretKeyFile));
}
