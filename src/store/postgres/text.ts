/** PostgreSQL's text holds no NUL. */
export function storable(text: string | null): string | null {
  return text === null || !text.includes("\0") ? text : text.replaceAll("\0", "\u{fffd}");
}
