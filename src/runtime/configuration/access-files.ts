/** Reads the deny and allow lists of a configuration, with the files that they name. */
import { createHash } from 'node:crypto';
import { canonicalPrefix } from '../../config/access-list.ts';
import type { Document } from '../../config/document.ts';
import { readRegularFile } from '../../config/load.ts';
import { type Problem, rejection } from '../../config/problem.ts';
import { type AccessEntry, type ListKind, MAX_FILE_ENTRIES } from '../../model/access-list.ts';
import { LvsError } from '../../model/errors.ts';
import { formatService } from '../../model/naming.ts';
import type { ServiceAddress } from '../../model/service.ts';

/** What one list has, so that a plan can compare it: by its name, such as `deny list of all services`. */
export type ListDigests = Readonly<Record<string, { readonly entries: number; readonly digest: string }>>;

export interface AccessFiles {
  readonly entries: readonly AccessEntry[];
  readonly digests: ListDigests;
  readonly warnings: readonly string[];
}

/**
 * Returns the entries of all lists. Throws LvsError CONFIG for a file with errors, and, with `isRun`, for one that cannot be
 * read.
 */
export async function readAccessLists(document: Document, isRun: boolean): Promise<AccessFiles> {
  const entries: AccessEntry[] = [];
  const warnings: string[] = [];
  const digests: Record<string, { entries: number; digest: string }> = {};
  const files = new Map<string, readonly string[]>();
  const scopes: readonly (Pick<Document, ListKind> & { readonly service?: ServiceAddress })[] = [
    document,
    ...document.services,
  ];
  for (const scope of scopes)
    for (const list of ['deny', 'allow'] as const) {
      const written = scope[list];
      if (!written) continue;
      const { service } = scope;
      const common = { list, ...(service && { service }) };
      const hash = createHash('sha256');
      const from = entries.length;
      for (const prefix of written.prefixes) entries.push({ ...common, prefix });
      for (const file of written.files) {
        const prefixes = files.get(file) ?? (await prefixesOf(file, isRun, warnings));
        files.set(file, prefixes);
        for (const prefix of prefixes) entries.push({ ...common, prefix, file });
      }
      if (entries.length > MAX_FILE_ENTRIES)
        throw new LvsError('CONFIG', `deny and allow lists: more than ${MAX_FILE_ENTRIES} entries`);
      for (let i = from; i < entries.length; i++) hash.update(`${entries[i]!.prefix}\n`);
      const name = `${list} list of ${service ? formatService(service) : 'all services'}`;
      digests[name] = { entries: entries.length - from, digest: hash.digest('base64url') };
    }
  return { entries, digests, warnings };
}

async function prefixesOf(path: string, isRun: boolean, warnings: string[]): Promise<readonly string[]> {
  let text: string;
  try {
    text = (await readRegularFile(path)).toString('utf8').replace(/^\uFEFF/, '');
  } catch (cause) {
    const message = `list ${path}: cannot be read: ${(cause as Error).message}`;
    if (isRun) throw new LvsError('CONFIG', message, { cause });
    warnings.push(message);
    return [];
  }
  const prefixes = new Set<string>();
  const problems: Problem[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    const word = line.replace(/[#;].*/s, '').trim();
    if (word === '') continue;
    const read = canonicalPrefix(word);
    if ('prefix' in read) prefixes.add(read.prefix);
    else {
      const place = { line: i + 1, column: line.indexOf(word) + 1, length: word.length };
      const message = `invalid prefix '${word}': ${read.problem}`;
      problems.push({ severity: 'error', file: path, ...place, message });
    }
  }
  if (problems.length > 0) throw rejection(problems, text);
  return [...prefixes];
}

/** Returns what differs between the lists of two files, as lines of a plan. */
export function changedLists(before: ListDigests, after: ListDigests): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].flatMap((name) => {
    const [was, is] = [before[name], after[name]];
    if (was?.digest === is?.digest) return [];
    return [`${name}: ${is?.entries ?? 0} entries (${was?.entries ?? 0} now)`];
  });
}
