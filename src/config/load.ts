/** A configuration file, read and checked: the document, or an error that names everything that is wrong in it. */
import { readFile } from 'node:fs/promises';
import { LvsError } from '../model/errors.ts';
import type { Document } from './document.ts';
import { parseLvsConf } from './lvs-conf.ts';
import type { Names } from './names.ts';
import { formatProblem } from './problem.ts';
import type { Segment } from './review.ts';
import { parseYaml } from './yaml.ts';

/** A configuration is a few hundred lines; more is a mistake (a capture, a disk image). */
const MAX_OCTETS = 16 << 20;

export interface Loaded {
  readonly document: Document;
  /** Formatted, one a problem: what will not work as written. */
  readonly warnings: readonly string[];
}

/**
 * Reads lvs.conf, or lvs.yaml by its ending. `segments`: networks that the director's host is on, for warnings.
 * Throws LvsError CONFIG whose message holds every error with file, line and column; nothing was changed then.
 */
export async function loadConfig(
  path: string,
  names: Names,
  schedulers: readonly string[],
  segments: readonly Segment[] = [],
): Promise<Loaded> {
  const parse = /\.ya?ml$/i.test(path) ? parseYaml : parseLvsConf;
  let text: string;
  try {
    const octets = await readFile(path);
    if (octets.length > MAX_OCTETS) throw new Error(`larger than ${MAX_OCTETS} octets`);
    text = octets.toString('utf8');
  } catch (cause) {
    throw new LvsError('CONFIG', `${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  const { document, problems } = await parse(text, path, names, schedulers, segments);
  const inOrder = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  const errors = inOrder.filter((each) => each.severity === 'error');
  if (errors.length > 0)
    throw new LvsError('CONFIG', errors.map((each) => formatProblem(each, text)).join('\n'));
  return {
    document,
    warnings: inOrder.map((each) => formatProblem(each, text)),
  };
}
