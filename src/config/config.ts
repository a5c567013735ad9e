import type { HttpProxy } from "../delivery/http/proxy.ts";
import type { Cidr } from "../delivery/target-guard.ts";
import type { LogLevel } from "../log.ts";

/** Everything that `serve` can be told, checked. Durations are milliseconds. */
export interface Config {
  readonly dataDir: string;
  /** A postgres:// URL, password included: the database that daemons share. Null for the one in the data directory. */
  readonly database: string | null;
  readonly host: string;
  readonly port: number;
  readonly socket: string;
  readonly socketMode: number;
  readonly socketConnections: number;
  readonly secretKeyFile: string | null;
  readonly allowHttp: boolean;
  readonly allowNetworks: readonly Cidr[];
  readonly caFile: string | null;
  readonly proxy: HttpProxy | null;
  readonly maxWebhooks: number;
  readonly requestTimeout: number;
  readonly retryAttempts: number;
  readonly retryMinDelay: number;
  readonly retryFactor: number;
  readonly retryMaxDelay: number;
  readonly retryJitter: boolean;
  readonly concurrency: number;
  readonly webhookConcurrency: number;
  readonly paused: boolean;
  readonly retention: number;
  readonly notifyUrl: string | null;
  readonly shutdownTimeout: number;
  readonly logLevel: LogLevel;
}
