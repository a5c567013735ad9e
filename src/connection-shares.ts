import { descriptorLimit, openDescriptors, shareDescriptors } from "./descriptors.ts";
import type { Logger } from "./log.ts";

/** How many connections there may be, as the options and the file descriptors allow. */
export interface ConnectionShares {
  /** Attempts at once. */
  concurrency: number;
  /** Connections to receivers, idle ones included: those take up what those in flight leave, in descriptors and in memory. */
  sending: number;
  /** Connections of scanners. */
  scanners: number;
  /** Whether scanners may have fewer than the options say. */
  areScannersCut: boolean;
}

/** However few requests are in flight, hundreds of hosts are kept warm. */
const WARM_CONNECTIONS = 512;

/** Shares out the file descriptors that are left at the start, and tells when they do not do for the options. */
export function shareConnections(
  wanted: { concurrency: number; socketConnections: number },
  log: Logger,
): ConnectionShares {
  const shares = shareDescriptors(descriptorLimit(), openDescriptors());
  const concurrency = Math.min(wanted.concurrency, shares.sending);
  const scanners = Math.min(wanted.socketConnections, shares.scanners);
  const areScannersCut = scanners < wanted.socketConnections;
  if (concurrency < wanted.concurrency || areScannersCut) {
    log.info("file descriptors allow fewer connections than the options", {
      descriptors: descriptorLimit(),
      concurrency,
      socket_connections: scanners,
    });
  }
  const sending = Math.min(shares.sending, concurrency + WARM_CONNECTIONS);
  return { concurrency, sending, scanners, areScannersCut };
}
