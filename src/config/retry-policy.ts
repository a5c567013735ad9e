import type { RetryPolicy } from "../delivery/retry-policy.ts";
import type { Config } from "./config.ts";

/** When failed deliveries are tried again, as the options say. */
export function retryPolicyOf(config: Config): RetryPolicy {
  return {
    attempts: config.retryAttempts,
    minDelay: config.retryMinDelay,
    factor: config.retryFactor,
    maxDelay: config.retryMaxDelay,
    jitter: config.retryJitter,
  };
}
