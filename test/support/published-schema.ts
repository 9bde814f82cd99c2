/** The JSON Schema that editors read: that of the validation, with each part that occurs repeatedly written once. */
import { schema } from '../../src/config/schema.ts';

/** Parts with fewer characters are repeated. */
const MIN_CHARACTERS = 400;

type Json = { readonly [key: string]: unknown };

/** Returns the schema with `definitions`, and references to these. A definition is named by the keys that lead to its first use. */
export function publishedSchema(): unknown {
  const uses = new Map<object, { name: string; count: number }>();
  visit(schema, [], uses);
  const shared = new Map(
    [...uses].filter(([part, { count }]) => count > 1 && JSON.stringify(part).length >= MIN_CHARACTERS),
  );
  const written = (value: unknown, isDefinition = false): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map((each) => written(each));
    const definition = isDefinition ? undefined : shared.get(value);
    if (definition) return { $ref: `#/definitions/${definition.name}` };
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, written(each)]));
  };
  const definitions = [...shared].map(([part, { name }]) => [name, written(part, true)] as const);
  return { ...(written(schema, true) as Json), definitions: Object.fromEntries(definitions) };
}

/** Counts the uses of each part; a part is the same object wherever it is used. */
function visit(
  value: unknown,
  path: readonly string[],
  uses: Map<object, { name: string; count: number }>,
): void {
  if (typeof value !== 'object' || value === null) return;
  const known = uses.get(value);
  if (known) known.count++;
  else if (!Array.isArray(value)) uses.set(value, { name: nameOf(path), count: 1 });
  if (!known) for (const [key, each] of Object.entries(value)) visit(each, [...path, key], uses);
}

const STRUCTURE = /^(?:properties|items|oneOf|additionalProperties|\d+)$/;
/** The keys of lvs.yaml on the path, and the branch of a choice. */
const nameOf = (path: readonly string[]): string => path.filter((key) => !STRUCTURE.test(key)).join('-');
