/** A configuration file, read and checked: the document, or an error that names everything that is wrong in it. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { LvsError } from '../model/errors.ts';
import type { Document } from './document.ts';
import { parseLvsConf } from './lvs-conf.ts';
import type { Names } from './names.ts';
import { formatProblems, type Problem } from './problem.ts';
import type { Segment } from './semantic-checks.ts';
import { parseYaml } from './yaml/parse-yaml.ts';

/** A configuration is a few hundred lines; more is a mistake (a capture, a disk image). */
const MAX_OCTETS = 16 << 20;

/** Errors that a message contains; more are counted. */
const MAX_ERRORS = 200;

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
    text = (await octetsOf(path)).toString('utf8').replace(/^\uFEFF/, ''); // a byte order mark says nothing in UTF-8
  } catch (cause) {
    throw new LvsError('CONFIG', `${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  const binary = text.indexOf('\0');
  if (binary >= 0) refuse([binaryProblem(path, text.slice(0, binary))], text);
  const { document, problems } = await parse(text, path, names, schedulers, segments);
  const inOrder = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  const errors = inOrder.filter((each) => each.severity === 'error');
  if (errors.length > 0) refuse(errors, text);
  return { document, warnings: formatProblems(inOrder, text) };
}

/** Reads a regular file. Does not wait for the writer of a FIFO, and does not read a device. */
async function octetsOf(path: string): Promise<Buffer> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if (!(await file.stat()).isFile()) throw new Error('not a regular file');
  const parts: Buffer[] = [];
  for await (const part of file.createReadStream({ end: MAX_OCTETS, autoClose: false })) parts.push(part);
  const all = Buffer.concat(parts);
  if (all.length > MAX_OCTETS) throw new Error(`larger than ${MAX_OCTETS} octets`);
  return all;
}

function refuse(errors: readonly Problem[], text: string): never {
  const lines = formatProblems(errors.slice(0, MAX_ERRORS), text);
  if (errors.length > MAX_ERRORS) lines.push(`... and ${errors.length - MAX_ERRORS} more errors`);
  throw new LvsError('CONFIG', lines.join('\n'));
}

/** UTF-16 has such bytes, and so has what is no text at all. `before`: what comes before the first one. */
function binaryProblem(file: string, before: string): Problem {
  const lines = before.split('\n');
  return {
    severity: 'error',
    file,
    line: lines.length,
    column: lines.at(-1)!.length + 1,
    length: 1,
    message: 'an octet 0: expected text in UTF-8',
  };
}
