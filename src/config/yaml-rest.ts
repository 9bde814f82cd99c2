/** What is left of a file when the parts that the schema refuses are taken out: the rest can have mistakes of its own. */
import type { YamlFile } from './schema.ts';
import type { Path } from './yaml-range.ts';

/** Keys whose items stand for themselves: one that is wrong says nothing about the others. */
const LISTS: ReadonlySet<string> = new Set(['services', 'vips', 'marks']);

/**
 * A copy with holes in its lists, so that indexes still are those of the file; undefined: too much is wrong to judge
 * the rest. `faults`: paths of what the schema refuses.
 */
export function restOf(file: unknown, faults: readonly Path[]): YamlFile | undefined {
  if (typeof file !== 'object' || file === null || Array.isArray(file)) return undefined;
  const rest = structuredClone(file) as Record<string, unknown>;
  for (const [key, item] of faults) {
    if (key === undefined) continue; // a key too much, or one too few
    const part = rest[key];
    if (item !== undefined && LISTS.has(String(key)) && Array.isArray(part)) delete part[Number(item)];
    // Services that use it are not to blame.
    else if (key === 'groups' && item !== undefined && isRecord(part)) part[item] = [];
    // What every service inherits, or where every part is to be found.
    else if (key === 'defaults' || key === 'groups' || LISTS.has(String(key))) return undefined;
    else delete rest[key];
  }
  rest['services'] ??= [];
  return rest as unknown as YamlFile;
}

const isRecord = (value: unknown): value is Record<string | number, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
