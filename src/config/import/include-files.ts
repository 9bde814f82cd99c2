/** Finds the files that an include directive of keepalived.conf(5) names: a path that may have wildcards and braces. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { IncludedFile } from './keepalived-lines.ts';

/** Bounds of what one directive may include. */
const MAX_FILES = 1000;
const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** Returns the readable files of `pattern`, sorted by path; a relative pattern is relative to `folder`. */
export function includeFiles(pattern: string, folder: string): IncludedFile[] {
  const paths = expandBraces(pattern).flatMap((each) => expandWildcards(resolve(folder, each)));
  return [...new Set(paths)].slice(0, MAX_FILES).flatMap((path) => {
    const text = readRegular(path);
    return text === undefined ? [] : [{ path, text }];
  });
}

/** The folder that relative includes of a file are relative to. */
export const folderOf = (path: string): string => (path === '-' ? process.cwd() : dirname(resolve(path)));

function expandBraces(pattern: string): string[] {
  const [, before, inside, after] = /^([^{]*)\{([^{}]*)\}(.*)$/.exec(pattern) ?? [];
  if (inside === undefined) return [pattern];
  return inside
    .split(',')
    .flatMap((each) => expandBraces(`${before}${each}${after}`))
    .slice(0, MAX_FILES);
}

function expandWildcards(path: string): string[] {
  let found = ['/'];
  for (const part of path.split('/').filter(Boolean)) {
    if (!/[*?[]/.test(part)) found = found.map((each) => resolve(each, part));
    else {
      const matcher = globPattern(part);
      found = found.flatMap((folder) =>
        entriesOf(folder)
          .filter((name) => matcher.test(name))
          .map((name) => resolve(folder, name)),
      );
    }
  }
  return found.slice(0, MAX_FILES);
}

/** glob(7): a leading dot is matched by a dot only. */
function globPattern(part: string): RegExp {
  const source = part.replace(/\[!?[^\]]+\]|[*?]|[\\^$.+()|{}[\]/]/g, (found) => {
    if (found === '*') return '[^/]*';
    if (found === '?') return '[^/]';
    return found.length > 1 ? found.replace(/^\[!/, '[^').replace(/\\/g, '\\\\') : `\\${found}`;
  });
  return new RegExp(`^${part.startsWith('.') ? '' : '(?!\\.)'}${source}$`);
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

/** undefined: not a regular file, not readable or too long. */
function readRegular(path: string): string | undefined {
  try {
    const entry = statSync(path);
    return entry.isFile() && entry.size <= MAX_FILE_BYTES ? readFileSync(path, 'utf8') : undefined;
  } catch {
    return undefined;
  }
}
