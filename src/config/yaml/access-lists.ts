/** Reads the deny and allow lists of lvs.yaml. */
import { type AccessListDocument, canonicalPrefix } from '../access-list.ts';
import type { YamlFile } from '../schema.ts';
import type { Path } from './position.ts';
import type { YamlContext } from './yaml-context.ts';

type Lists = Pick<YamlFile, 'deny' | 'allow'>;
export type ListDocuments = { readonly [list in 'deny' | 'allow']?: AccessListDocument };

/** Returns the lists of a service, or of the file. `path`: of what has the lists. */
export function accessListsOf(context: YamlContext, written: Lists, path: Path): ListDocuments {
  const deny = written.deny && listOf(context, written.deny, [...path, 'deny']);
  const allow = written.allow && listOf(context, written.allow, [...path, 'allow']);
  return { ...(deny && { deny }), ...(allow && { allow }) };
}

function listOf(
  { notes, place }: YamlContext,
  entries: NonNullable<Lists['deny']>,
  path: Path,
): AccessListDocument | undefined {
  const prefixes = new Set<string>();
  const files = new Set<string>();
  for (const [i, entry] of entries.entries()) {
    if (typeof entry !== 'string') {
      files.add(entry.file);
      continue;
    }
    const read = canonicalPrefix(entry);
    if ('prefix' in read) prefixes.add(read.prefix);
    else notes.error(place([...path, i]), `invalid prefix '${entry}': ${read.problem}`);
  }
  return prefixes.size + files.size === 0 ? undefined : { prefixes: [...prefixes], files: [...files] };
}
