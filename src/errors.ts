/** Codes of the error envelope, with the HTTP status that each one answers with. */
export const ERROR_STATUS = {
  VALIDATION_ERROR: 400,
  AUTHENTICATION_ERROR: 401,
  FEATURE_NOT_AVAILABLE: 403,
  READ_ONLY_KEY: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  CONFLICT: 409,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RATE_LIMIT_EXCEEDED: 429,
  INTERNAL_ERROR: 500,
  UNAVAILABLE: 503,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

/** A fault that a caller may read: its message never carries SQL, paths, secrets or what was submitted. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = "AppError";
    this.code = code;
    this.status = ERROR_STATUS[code];
    this.headers = headers;
  }
}

/** A fault of what the operator gave us (flags, files, environment); ends the process with this exit code. */
export class UsageError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 2) {
    super(message);
    this.name = "UsageError";
    this.exitCode = exitCode;
  }
}

/** The same in two parts, for those who show them apart: what is wrong, and what to do. */
export class Refusal extends UsageError {
  readonly problem: string;
  readonly hint: string;

  constructor(problem: string, hint: string, exitCode = 1) {
    super(`${problem}; ${hint}`, exitCode);
    this.problem = problem;
    this.hint = hint;
  }
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
