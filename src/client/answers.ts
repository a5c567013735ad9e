/** What is to be known of an answer before it is believed. */

/** Undefined when it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isRedirect(answer: Response): boolean {
  // Browsers hide a redirect that is not followed behind the status 0.
  return answer.type === "opaqueredirect" || (answer.status >= 300 && answer.status < 400);
}
