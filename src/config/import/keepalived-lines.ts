/**
 * Expands the text of keepalived.conf(5) into plain lines: included files, conditions (`@id`), parameters (`$NAME`),
 * sequences (`~SEQ`) and lists (`~LST`), in the order in which keepalived 2.2.7 processes them.
 */
import type { SourceLine } from './import-result.ts';

/** A file that an include directive names; `path` is shown in messages. */
export interface IncludedFile {
  readonly path: string;
  readonly text: string;
}

export interface KeepalivedSources {
  /** keepalived's --config-id: selects lines that begin with `@id`. */
  readonly configId: string;
  /** Directory of the file, for `${_PWD}`. */
  readonly folder: string;
  /** Returns the files that an include directive in `from` names; none where they cannot be read. */
  readonly include: (pattern: string, from: string | undefined) => readonly IncludedFile[];
}

export type Complain = (at: SourceLine, why: string) => void;

/** Bounds of what a file may expand to. */
const MAX_LINES = 100_000;
const MAX_DEPTH = 32;
const MAX_LINE_LENGTH = 100_000;

const DEFINITION = /^\s*\$([A-Za-z_]\w*)=(.*)$/;
const INCLUDE = /^\s*include[rmwba]?\s+(\S.*?)\s*$/;
const CONDITION = /^\s*@(\^?)(\S+)(.*)$/;
const SEQUENCE = /^\s*~SEQ(x?)\(\s*(\w+)\s*,([^)]*)\)(.*)$/s;
const LIST = /^\s*~LST\(\s*(?:\{([^}]*)\}|(\w+))\s*,([^)]*)\)(.*)$/s;

/** Returns the lines of `text` and of the files that it includes, with the place that each comes from. */
export function expandLines(text: string, sources: KeepalivedSources, complain: Complain): SourceLine[] {
  const lines: SourceLine[] = [];
  let fileDepth = 0;
  const parameters = new Map([
    ['_PWD', sources.folder],
    ['_INSTANCE', sources.configId],
    ['_HASH', '#'],
    ['_BANG', '!'],
  ]);

  function readText(text: string, file: string | undefined): void {
    let definition: { name: string; lines: string[] } | undefined;
    for (const [i, raw] of text.split('\n').entries()) {
      const at: SourceLine = { text: raw.trim(), line: i + 1, ...(file !== undefined && { file }) };
      if (definition) {
        definition.lines.push(raw.replace(/\\\s*$/, ''));
        if (/\\\s*$/.test(raw)) continue;
        parameters.set(definition.name, definition.lines.join('\n'));
        definition = undefined;
        continue;
      }
      const [, name, value] = DEFINITION.exec(raw) ?? [];
      if (name !== undefined && /^\s*\\\s*$/.test(value!)) definition = { name, lines: [] };
      else expand(raw, at, 0);
    }
  }

  /** Adds a line without parameters, or the files that it includes. */
  function add(raw: string, at: SourceLine): void {
    const [, pattern] = INCLUDE.exec(raw.replace(/[#!].*/, '')) ?? [];
    if (pattern === undefined) {
      lines.push({ ...at, text: raw });
      return;
    }
    const files = fileDepth < MAX_DEPTH ? sources.include(pattern, at.file) : [];
    if (files.length === 0) complain(at, 'no readable file of this name');
    fileDepth++;
    for (const file of files) readText(file.text, file.path);
    fileDepth--;
  }

  function expand(raw: string, at: SourceLine, depth: number): void {
    if (lines.length >= MAX_LINES || depth > MAX_DEPTH || raw.length > MAX_LINE_LENGTH) {
      complain(at, 'this line expands to too much');
      return;
    }
    const [, name, value] = DEFINITION.exec(raw) ?? [];
    if (name !== undefined) {
      parameters.set(name, withoutComment(value!).trimStart());
      return;
    }
    const [, negation, id, rest] = CONDITION.exec(raw) ?? [];
    if (id !== undefined) {
      if ((id === sources.configId) !== (negation === '^')) expand(rest!, at, depth + 1);
      else complain(at, `this line does not apply to the config id '${sources.configId}' (--config-id)`);
      return;
    }
    const repeated = repetitions(raw);
    if (repeated) {
      if (repeated.values.length === 0) complain(at, 'invalid ~SEQ or ~LST');
      for (const values of repeated.values) {
        for (const [i, variable] of repeated.variables.entries()) parameters.set(variable, values[i] ?? '');
        expand(repeated.rest, at, depth + 1);
      }
      return;
    }
    const replaced = replaceParameter(raw, parameters);
    if (replaced === undefined) add(raw, at);
    else for (const line of replaced.split('\n')) expand(line, at, depth + 1);
  }

  readText(text, undefined);
  return lines;
}

/** Replaces the first known parameter of a line; undefined where it has none. */
function replaceParameter(line: string, parameters: ReadonlyMap<string, string>): string | undefined {
  for (const found of line.matchAll(/\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*)(?=\s|$))/g)) {
    const value = parameters.get((found[1] ?? found[2])!);
    if (value !== undefined)
      return line.slice(0, found.index) + value + line.slice(found.index + found[0].length);
  }
  return undefined;
}

interface Repetition {
  readonly variables: readonly string[];
  /** Values of the variables, one row for each repetition. */
  readonly values: readonly (readonly string[])[];
  readonly rest: string;
}

/** Returns how often a line that begins with ~SEQ or ~LST is repeated; undefined for other lines. */
function repetitions(line: string): Repetition | undefined {
  const [, hexadecimal, variable, bounds, after] = SEQUENCE.exec(line) ?? [];
  if (variable !== undefined)
    return { variables: [variable], values: sequence(bounds!, hexadecimal !== ''), rest: after! };
  const [, several, one, list, rest] = LIST.exec(line) ?? [];
  if (list === undefined) return undefined;
  if (one !== undefined) {
    const values = list.split(',').map((each) => [each.trim()]);
    return { variables: [one], values: values.some(([each]) => /\s/.test(each!)) ? [] : values, rest: rest! };
  }
  const rows = [...list.matchAll(/\{([^}]*)\}/g)].map(([, row]) =>
    row!.split(',').map((each) => each.trim()),
  );
  return { variables: several!.split(',').map((each) => each.trim()), values: rows, rest: rest! };
}

/** `[start, [step,]] end`: a missing start is 1 or -1, and so is a missing step. */
function sequence(bounds: string, hexadecimal: boolean): string[][] {
  const numbers = bounds
    .split(',')
    .map((each) => (/^\s*-?(0x[0-9a-f]+|\d+)\s*$/i.test(each) ? toNumber(each) : NaN));
  const end = numbers.at(-1)!;
  const start = numbers.length > 1 ? numbers[0]! : end < 0 ? -1 : 1;
  const step = numbers.length > 2 ? numbers[1]! : end < start ? -1 : 1;
  if (numbers.length > 3 || numbers.some(Number.isNaN) || step === 0) return [];
  const count = Math.floor((end - start) / step) + 1;
  if (count < 1 || count > MAX_LINES) return [];
  return Array.from({ length: count }, (_, i) => {
    const value = start + i * step;
    return [value.toString(hexadecimal ? 16 : 10)];
  });
}

/** Number() knows `0x10`, but not `-0x10`. */
const toNumber = (text: string): number =>
  text.trim().startsWith('-') ? -Number(text.trim().slice(1)) : Number(text);

/** Returns a line up to its comment: `#` or `!` outside double quotes and not after a backslash. */
function withoutComment(line: string): string {
  const [before] = /^(?:"[^"]*"|\\.|[^"#!\\])*/.exec(line) ?? [''];
  return /^[#!]/.test(line.slice(before.length)) ? before : line;
}
