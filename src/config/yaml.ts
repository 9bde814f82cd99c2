/** The YAML syntax, lvs.yaml: parsed with every value's place, validated by the schema, expanded into a document. */
import { Ajv } from 'ajv';
import { LineCounter, parseDocument } from 'yaml';
import { EMPTY_DOCUMENT } from './document.ts';
import type { Names } from './names.ts';
import { Notes, type Parsed } from './parsed.ts';
import type { Place } from './problem.ts';
import { review, type Segment } from './review.ts';
import { schema, type YamlFile } from './schema.ts';
import { expand } from './yaml-document.ts';
import { schemaProblems } from './yaml-problems.ts';
import { rangeOf } from './yaml-range.ts';
import { restOf } from './yaml-rest.ts';

/** Most uses of aliases that one file may make: a bound on what a small file can grow to. */
const MAX_ALIASES = 100;

const validate = new Ajv({ allErrors: true, strict: false, verbose: true }).compile<YamlFile>(schema);

/**
 * Reads lvs.yaml. `schedulers`: the names that exist; `segments`: networks that the host is on.
 * Never throws: what is wrong is among the problems.
 */
export async function parseYaml(
  text: string,
  file: string,
  names: Names,
  schedulers: readonly string[],
  segments: readonly Segment[] = [],
): Promise<Parsed> {
  const notes = new Notes(file);
  const unreadable = (): Parsed => ({
    document: EMPTY_DOCUMENT,
    problems: notes.problems,
    places: notes.places,
  });
  const lines = new LineCounter();
  const yaml = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const at = (from: number, to: number): Place => {
    const { line, col } = lines.linePos(from);
    const firstLine = text.slice(from, to).split('\n')[0]!.trimEnd();
    return { line: Math.max(1, line), column: Math.max(1, col), length: Math.max(1, firstLine.length) };
  };

  for (const error of [...yaml.errors, ...yaml.warnings])
    notes.error(at(...error.pos), error.message.split('\n')[0]!.replace(/ at line \d+.*$/, ''));
  if (notes.problems.length > 0) return unreadable();

  let value: unknown;
  try {
    value = yaml.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    notes.error(at(0, 1), (error as Error).message);
    return unreadable();
  }
  const place = (path: readonly (string | number)[]) => at(...rangeOf(yaml.contents, path));
  if (!validate(value)) {
    const faults = schemaProblems(validate.errors ?? []);
    for (const { path, key, message } of faults)
      notes.error(at(...rangeOf(yaml.contents, path, key)), message);
    const rest = restOf(
      value,
      faults.map(({ path }) => path),
    );
    if (rest) await expand({ file: rest, notes, names, schedulers, place });
    return unreadable();
  }
  const document = await expand({ file: value, notes, names, schedulers, place });
  review(document, notes, segments);
  return { document, problems: notes.problems, places: notes.places };
}
