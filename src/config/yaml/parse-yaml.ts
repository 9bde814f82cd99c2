/**
 * Parses the YAML syntax, lvs.yaml, with positions; validates it by the schema, and expands it to a document.
 */
import { type Document, isAlias, isNode, LineCounter, parseDocument, visit } from 'yaml';
import { EMPTY_DOCUMENT } from '../document.ts';
import type { Names } from '../names.ts';
import { Notes, type Parsed } from '../parse-result.ts';
import type { Place } from '../problem.ts';
import { schema, type YamlFile } from '../schema.ts';
import { review, type Segment } from '../semantic-checks.ts';
import { expand } from './document.ts';
import { type Path, rangeOf } from './position.ts';
import { schemaProblems } from './schema-problems.ts';
import { validatorOf } from './validator.ts';
import type { YamlContext } from './yaml-context.ts';

/**
 * Maximum number of values that aliases stand for, nested ones multiplied: bounds the size of the expansion.
 */
const MAX_ALIASES = 10_000;

/** Messages that replace those of the YAML library, by its codes. */
const YAML_WORDS: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'a second document: expected one',
  NON_STRING_KEY: 'invalid key: expected text, not a list or a map',
  RESOURCE_EXHAUSTION: 'nesting is too deep',
};

const validator = validatorOf<YamlFile>(schema);

/**
 * Parses lvs.yaml. `schedulers`: the supported names; `segments`: networks of the host. Never throws: errors
 * are among the problems.
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
  const yaml = parseDocument(text, { lineCounter: lines, merge: true, stringKeys: true });
  const at = (from: number, to: number): Place => {
    const { line, col } = lines.linePos(from);
    const firstLine = text.slice(from, to).split('\n')[0]!.trimEnd();
    return { line: Math.max(1, line), column: Math.max(1, col), length: Math.max(1, firstLine.length) };
  };

  const findings = [...yaml.errors, ...yaml.warnings];
  const tooDeep = findings.find(({ code }) => code === 'RESOURCE_EXHAUSTION'); // it causes all the others
  for (const error of tooDeep ? [tooDeep] : findings)
    notes.error(
      at(...error.pos),
      YAML_WORDS[error.code] ?? error.message.split('\n')[0]!.replace(/ at line \d+.*$/, ''),
    );
  const aliases = aliasesOf(yaml);
  for (const { name, range } of aliases.dangling)
    notes.error(at(...range), `anchor &${name} not found before this alias`);
  if (notes.problems.length > 0) return unreadable();

  let value: unknown;
  try {
    value = yaml.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error;
    notes.error(at(...(aliases.first ?? [0, 1])), `aliases stand for more than ${MAX_ALIASES} values`);
    return unreadable();
  }
  const place = (path: readonly (string | number)[]) => at(...rangeOf(yaml.contents, path));
  const validate = validator();
  if (!validate(value)) {
    const faults = schemaProblems(validate.errors ?? []);
    for (const { path, key, message } of faults)
      notes.error(at(...rangeOf(yaml.contents, path, key)), message);
    const rest = restOf(
      value,
      faults.map(({ path }) => path),
    );
    if (rest) review(await expand({ ...rest, notes, names, schedulers, place }), notes, segments);
    return unreadable();
  }
  const document = await expand({ file: value, whole: true, notes, names, schedulers, place });
  review(document, notes, segments);
  return { document, problems: notes.problems, places: notes.places };
}

type Range = readonly [from: number, to: number];

export interface Aliases {
  readonly first: Range | undefined;
  readonly dangling: readonly { readonly name: string; readonly range: Range }[];
}

export function aliasesOf(yaml: Document): Aliases {
  const anchors = new Set<string>();
  const aliases: { name: string; range: Range; dangling: boolean }[] = [];
  visit(yaml, {
    Node(_key, node) {
      if (isAlias(node)) {
        const [from, to] = node.range ?? [0, 1];
        aliases.push({ name: node.source, range: [from, to], dangling: !anchors.has(node.source) });
      } else if (isNode(node) && node.anchor !== undefined) anchors.add(node.anchor);
    },
  });
  return { first: aliases[0]?.range, dangling: aliases.filter(({ dangling }) => dangling) };
}

/** Keys of lists whose items are independent of each other. */
const LISTS: ReadonlySet<string> = new Set(['services', 'vips', 'marks']);

/**
 * Returns a copy with holes in its lists, so that indexes remain those of the file; undefined when it is not
 * a map. `faults`: paths of rejected parts.
 */
export function restOf(
  file: unknown,
  faults: readonly Path[],
): Pick<YamlContext, 'file' | 'whole'> | undefined {
  if (!isRecord(file)) return undefined;
  const rest = structuredClone(file);
  let whole = true;
  for (const [key, item] of faults) {
    if (key === undefined) continue; // an unknown or missing key
    const part = rest[key];
    if (item !== undefined && LISTS.has(String(key)) && Array.isArray(part)) delete part[Number(item)];
    // Services that use the group are not reported.
    else if (key === 'groups' && item !== undefined && isRecord(part)) part[item] = [];
    else {
      if (key === 'defaults' || key === 'groups' || key === 'cluster' || key === 'mode') whole = false;
      // Only the rejected default is removed; the others still apply.
      if (key === 'defaults' && item !== undefined && isRecord(part)) delete part[item];
      else delete rest[key];
    }
  }
  rest['services'] ??= [];
  return { file: rest as unknown as YamlFile, whole };
}

const isRecord = (value: unknown): value is Record<string | number, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
