import { t } from "elysia";

/** One of several strings. Elysia's own type would fill in the first of them where the field is left out. */
export function oneOf<const Values extends readonly [string, ...string[]]>(
  values: Values,
  options: { description?: string; example?: string } = {},
) {
  const schema = t.UnionEnum(values, options);
  delete schema.default;
  return schema;
}
