import { createLogger, type Logger } from "../../src/log.ts";

/** A logger that writes nothing. */
export const silentLogger: Logger = createLogger({ level: "silent", write: () => {} });
