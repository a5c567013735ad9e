export type { Ack } from "./backlog.ts";
export {
  EventRefusedError,
  ScannerClosedError,
  ScannerError,
  type ScannerErrorCode,
  ScannerFullError,
  ScannerTimeoutError,
} from "./errors.ts";
export type { ScanEvent, Signal } from "./event.ts";
export type { CloseOptions, ScannerOptions, SendOptions } from "./options.ts";
export { Scanner } from "./scanner.ts";
