/** What is left of a file when the parts that the schema refuses are taken out: the rest can have mistakes of its own. */

import type { YamlFile } from '../schema.ts';
import type { Path } from './position.ts';
import type { YamlContext } from './yaml-context.ts';

/** Keys whose items stand for themselves: one that is wrong says nothing about the others. */
const LISTS: ReadonlySet<string> = new Set(['services', 'vips', 'marks']);

/**
 * A copy with holes in its lists, so that indexes still are those of the file; undefined: it is no map at all.
 * `faults`: paths of what the schema refuses.
 */
export function restOf(
  file: unknown,
  faults: readonly Path[],
): Pick<YamlContext, 'file' | 'whole'> | undefined {
  if (!isRecord(file)) return undefined;
  const rest = structuredClone(file);
  let whole = true;
  for (const [key, item] of faults) {
    if (key === undefined) continue; // a key too much, or one too few
    const part = rest[key];
    if (item !== undefined && LISTS.has(String(key)) && Array.isArray(part)) delete part[Number(item)];
    // Services that use it are not to blame.
    else if (key === 'groups' && item !== undefined && isRecord(part)) part[item] = [];
    else {
      if (key === 'defaults' || key === 'groups') whole = false;
      // What is wrong in the defaults is not inherited; the rest of them is.
      if (key === 'defaults' && item !== undefined && isRecord(part)) delete part[item];
      else delete rest[key];
    }
  }
  rest['services'] ??= [];
  return { file: rest as unknown as YamlFile, whole };
}

const isRecord = (value: unknown): value is Record<string | number, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
