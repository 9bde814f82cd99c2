/** Loads a configuration file: returns its document, or throws an error that lists all its errors. */
import { constants, createReadStream, type ReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { LvsError } from '../model/errors.ts';
import type { Document } from './document.ts';
import { parseLvsConf } from './lvs-conf.ts';
import type { Names } from './names.ts';
import { formatProblems, type Problem, rejection } from './problem.ts';
import type { Segment } from './semantic-checks.ts';
import { parseYaml } from './yaml/parse-yaml.ts';

/** Size limit of a configuration; a larger file is something else (a capture, a disk image). */
const MAX_FILE_BYTES = 16 << 20;

export interface Loaded {
  readonly document: Document;
  /** Formatted, one per problem: parts of the file that will not work as written. */
  readonly warnings: readonly string[];
}

/** The path that stands for the standard input. */
const STDIN_PATH = '-';
/** A directive as the first word of lvs.conf: the standard input has no file name extension. */
const FIRST_DIRECTIVE = /^(?:\s*(?:#.*)?\n)*\s*[A-Z_]+\s*=/;

/**
 * Reads lvs.conf, or lvs.yaml by its file name extension; `-` is the standard input, which is lvs.conf if it begins
 * with a directive. `segments`: networks of the director's host, for warnings. `read` is called when the file has been
 * read. Throws LvsError CONFIG with every error, its file, line and column; nothing is changed then.
 */
export async function loadConfig(
  path: string,
  names: Names,
  schedulers: readonly string[],
  segments: readonly Segment[] = [],
  read: () => void = () => {},
): Promise<Loaded> {
  let text: string;
  try {
    text = (await octetsOf(path)).toString('utf8').replace(/^\uFEFF/, ''); // UTF-8 does not need a byte order mark
  } catch (cause) {
    throw new LvsError('CONFIG', `${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  const isYaml = path === STDIN_PATH ? !FIRST_DIRECTIVE.test(text) : /\.ya?ml$/i.test(path);
  const name = path === STDIN_PATH ? '<stdin>' : path;
  read();
  const binary = text.indexOf('\0');
  if (binary >= 0) throw rejection([binaryProblem(name, text.slice(0, binary))], text);
  const parse = isYaml ? parseYaml : parseLvsConf;
  const { document, problems } = await parse(text, name, names, schedulers, segments);
  const inOrder = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  const errors = inOrder.filter((each) => each.severity === 'error');
  if (errors.length > 0) throw rejection(errors, text);
  return { document, warnings: formatProblems(inOrder, text) };
}

/** Reads a regular file, or the standard input. Does not wait for the writer of a FIFO, and does not read a device. */
async function octetsOf(path: string): Promise<Buffer> {
  if (path === STDIN_PATH)
    return collected(createReadStream('', { fd: 0, end: MAX_FILE_BYTES, autoClose: false }));
  return await readRegularFile(path);
}

/** Reads a regular file of at most MAX_FILE_BYTES. Throws an error without the path. */
export async function readRegularFile(path: string): Promise<Buffer> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if (!(await file.stat()).isFile()) throw new Error('not a regular file');
  return await collected(file.createReadStream({ end: MAX_FILE_BYTES, autoClose: false }));
}

async function collected(stream: ReadStream): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  const all = Buffer.concat(parts);
  if (all.length > MAX_FILE_BYTES) throw new Error(`file is larger than ${MAX_FILE_BYTES} bytes`);
  return all;
}

/** Returns the problem of a NUL byte, as in UTF-16 and in binary files. `before`: the text before it. */
function binaryProblem(file: string, before: string): Problem {
  const lines = before.split('\n');
  return {
    severity: 'error',
    file,
    line: lines.length,
    column: lines.at(-1)!.length + 1,
    length: 1,
    message: 'NUL byte: expected UTF-8 text',
  };
}
