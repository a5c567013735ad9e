import { NotFoundError, ParseError, ValidationError } from "elysia";
import { AppError } from "../errors.ts";
import { isStoreFault } from "../store/faults.ts";
import { RETRY_AFTER_SECONDS } from "./error-answers.ts";
import { FIELD_RULES } from "./schemas.ts";
import { OPTION_PROBLEMS } from "./webhook-options.ts";

/** The body of every error answer. */
export function envelope(error: AppError, requestId: string) {
  return { error: { code: error.code, message: error.message, request_id: requestId } };
}

/** What the outside may know of whatever was thrown; a fault of ours goes to `onFault` and says nothing. */
export function toAppError(error: unknown, onFault: (error: unknown) => void): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof ValidationError) return new AppError("VALIDATION_ERROR", describe(error));
  if (error instanceof ParseError && error.cause instanceof AppError) return error.cause;
  if (error instanceof ParseError) return new AppError("VALIDATION_ERROR", "the body must be valid JSON");
  if (error instanceof NotFoundError) return new AppError("NOT_FOUND", "no such route");
  if (isStoreFault(error)) {
    return unavailable("the store cannot be read or written now; nothing was changed, try again soon");
  }
  onFault(error);
  return new AppError(
    "INTERNAL_ERROR",
    "something went wrong on our side; the request_id finds it in the log",
  );
}

export function unavailable(message: string): AppError {
  return new AppError("UNAVAILABLE", message, { "retry-after": String(RETRY_AFTER_SECONDS) });
}

/** A sentence that names the field. Names are echoed only when they are harmless, values never. */
function describe(error: ValidationError): string {
  const path = firstPath(error);
  const name = path.split("/")[1] ?? "";
  if (name === "") return "the body must be a JSON object";
  const rule = FIELD_RULES[name];
  if (rule !== undefined && isKnown(error, name))
    return isMissing(error, name) ? `${name} is required` : (problemWithin(error, name) ?? rule);
  const kind = error.type === "query" ? "query parameter" : "field";
  const value = error.value as Record<string, unknown>;
  return unknownFields(
    kind,
    Object.keys(value).filter((key) => !isKnown(error, key)),
  );
}

/** More of them than a person would read are not all named. */
const MOST_NAMED = 10;

/** A sentence that names what does not belong there, as far as the names are harmless. */
export function unknownFields(kind: "field" | "query parameter", names: readonly string[]): string {
  const harmless = names.filter((name) => /^[\w.-]{1,64}$/.test(name)).slice(0, MOST_NAMED);
  const what = `unknown ${kind}${names.length > 1 ? "s" : ""}`;
  const more = harmless.length > 0 && harmless.length < names.length ? " and others" : "";
  return `${what}${harmless.length > 0 ? ` ${harmless.join(", ")}` : ""}${more}`;
}

function problemWithin({ value }: ValidationError, name: string): string | null {
  return OPTION_PROBLEMS[name]?.((value as Record<string, unknown>)[name]) ?? null;
}

function firstPath(error: ValidationError): string {
  if (!("Errors" in error.validator)) return "";
  return error.validator.Errors(error.value).First()?.path ?? "";
}

/** Whether the route's schema has a field of this name: `enabled` is known in an update, unknown in a create. */
function isKnown({ validator }: ValidationError, name: string): boolean {
  const schema: unknown = "Schema" in validator ? validator.Schema() : validator;
  return Object.hasOwn((schema as { properties?: object }).properties ?? {}, name);
}

function isMissing({ value }: ValidationError, name: string): boolean {
  return typeof value === "object" && value !== null && !Object.hasOwn(value, name);
}
