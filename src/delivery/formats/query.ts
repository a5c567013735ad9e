/** The URL without the query parameters of that name; what is left of the query keeps its spelling. */
export function withoutParameter(url: string, name: string): string {
  const target = new URL(url);
  setQuery(target, otherPairs(target, name));
  return target.href;
}

/** The URL with that query parameter once and with that value; the rest of the query keeps its spelling. */
export function withParameter(url: string, name: string, value: string): string {
  const target = new URL(url);
  const values = target.searchParams.getAll(name);
  if (values.length !== 1 || values[0] !== value)
    setQuery(target, [...otherPairs(target, name), `${name}=${value}`]);
  return target.href;
}

function otherPairs({ search }: URL, name: string): string[] {
  if (search === "") return [];
  return search
    .slice(1)
    .split("&")
    .filter((pair) => !parameters(pair).has(name));
}

// A question mark at the start of a query is part of it, but URLSearchParams and URL.search each take one off.
function parameters(pair: string): URLSearchParams {
  return new URLSearchParams(`?${pair}`);
}

function setQuery(target: URL, pairs: string[]): void {
  const query = pairs.join("&");
  target.search = query === "" ? "" : `?${query}`;
}
