/**
 * The recordings of test/fixtures/imports: configuration files, and beside each FILE.rules, the rules that the real program
 * made of it in Linux 6.1. `recorded.json` has a digest of every file as of its recording.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImportedProgram } from './imported-rules.ts';
import { PROJECT } from './project.ts';

const FOLDER = join(PROJECT, 'test/fixtures/imports');
const DIGESTS = join(FOLDER, 'recorded.json');
const EXTENSIONS: Readonly<Record<ImportedProgram, string>> = { keepalived: '.conf', ldirectord: '.cf' };
const PROGRAMS = ['keepalived', 'ldirectord'] as const;

/** A configuration file that has a recording. */
export interface RecordedImport {
  readonly program: ImportedProgram;
  /** As in recorded.json: keepalived/groups.conf. */
  readonly name: string;
  readonly path: string;
  readonly rulesPath: string;
}

export const recordedImports = (): RecordedImport[] =>
  PROGRAMS.flatMap((program) =>
    readdirSync(join(FOLDER, program))
      .filter((file) => file.endsWith(EXTENSIONS[program]))
      .map((file) => {
        const path = join(FOLDER, program, file);
        return { program, name: `${program}/${file}`, path, rulesPath: `${path}.rules` };
      }),
  );

/** Returns the digest of every file there is: configurations, files that they include, and rules. */
export function digests(): Record<string, string> {
  const names = PROGRAMS.flatMap((program) =>
    readdirSync(join(FOLDER, program), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(FOLDER.length + 1)),
  );
  const digest = (name: string) =>
    createHash('sha256')
      .update(readFileSync(join(FOLDER, name)))
      .digest('hex')
      .slice(0, 16);
  return Object.fromEntries(names.sort().map((name) => [name, digest(name)]));
}

/** Returns the digests as of the last recording. */
export const recordedDigests = (): Record<string, string> =>
  JSON.parse(readFileSync(DIGESTS, 'utf8')) as Record<string, string>;

/** Declares that the files are as they were recorded. */
export const writeDigests = (): void => writeFileSync(DIGESTS, `${JSON.stringify(digests(), null, 2)}\n`);
