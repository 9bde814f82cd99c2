/** Finds the position of a value, or of a key, in a YAML text. */
import { isAlias, isMap, isNode, isScalar, isSeq } from 'yaml';

export type Path = readonly (string | number)[];

/**
 * Returns the offsets of the value at `path`, or of `key` in the map there; when it is missing, of the
 * closest enclosing value.
 */
export function rangeOf(root: unknown, path: Path, key?: string): [from: number, to: number] {
  let node = root;
  let range: [number, number] = [0, 1];
  for (const step of path) {
    if (isNode(node) && node.range) range = [node.range[0], node.range[1]];
    if (isAlias(node)) break;
    if (isMap(node)) node = node.items.find((pair) => keyText(pair.key) === String(step))?.value;
    else if (isSeq(node)) node = node.items[Number(step)];
    else break;
  }
  if (isNode(node) && node.range) range = [node.range[0], node.range[1]];
  if (key !== undefined && isMap(node)) {
    const found = node.items.find((pair) => keyText(pair.key) === key)?.key;
    if (isNode(found) && found.range) range = [found.range[0], found.range[1]];
  }
  return range;
}

const keyText = (key: unknown): string => String(isScalar(key) ? key.value : key);
