/** Where a value, or a key, stands in a YAML text. */
import { isAlias, isMap, isNode, isScalar, isSeq } from 'yaml';

export type Path = readonly (string | number)[];

/** Offsets of the value at `path`, or of `key` in the map there; where that is missing, of the nearest thing above. */
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
