/** Translates errors of the schema validator for operators, and removes redundant ones. */
import type { ErrorObject } from 'ajv';
import { didYouMean, nearest } from '../problem.ts';
import type { Path } from './position.ts';

export interface SchemaProblem {
  readonly path: Path;
  /** The key at the path to underline. */
  readonly key?: string;
  readonly message: string;
}

/** Errors that only report that no alternative matched: the errors of the alternatives say more. */
const SUMMARIES = new Set(['oneOf', 'anyOf', 'if', 'propertyNames']);

export function schemaProblems(errors: readonly ErrorObject[]): SchemaProblem[] {
  const problems = new Map<string, SchemaProblem>();
  const meant = meantKeys(errors);
  const kinds = new Map<string, ErrorObject[]>();
  /** Alternatives of values that have a type, by the place of the value. */
  const alternatives = new Map<string, number>();
  for (const { keyword, instancePath, schema } of errors)
    if (keyword === 'oneOf')
      alternatives.set(instancePath, (schema as readonly object[]).filter((each) => 'type' in each).length);
  for (const error of errors)
    if (error.keyword === 'type')
      kinds.set(error.instancePath, [...(kinds.get(error.instancePath) ?? []), error]);
  // A value of one of several types is checked as that one.
  for (const [path, wrong] of kinds) if (wrong.length < (alternatives.get(path) ?? 0)) kinds.delete(path);
  for (const error of errors) {
    if (error.keyword === 'required' && meant.has(placeOf(error, error.params['missingProperty']))) continue;
    const found = problemOf(error, pathOf(error.instancePath), kinds.get(error.instancePath) ?? []);
    if (found) problems.set(JSON.stringify(found), found);
  }
  return [...problems.values()];
}

/**
 * Returns the keys that unknown keys of the same map probably meant: the unknown key is reported, not the
 * missing one.
 */
const meantKeys = (errors: readonly ErrorObject[]): ReadonlySet<string> =>
  new Set(
    errors.flatMap((error) => {
      if (error.keyword !== 'additionalProperties') return [];
      const known = Object.keys((error.parentSchema?.['properties'] as object | undefined) ?? {});
      return [placeOf(error, nearest(String(error.params['additionalProperty']), known))];
    }),
  );

const placeOf = ({ instancePath }: ErrorObject, key: unknown): string => `${instancePath} ${key}`;

/** `kinds`: the type errors of the same value. */
function problemOf(error: ErrorObject, path: Path, kinds: readonly ErrorObject[]): SchemaProblem | undefined {
  const { keyword, params, parentSchema } = error;
  if (keyword === 'oneOf' && isKindOfService(error)) {
    return { path, message: 'a service has exactly one of tcp, udp, sctp and mark' };
  }
  if (keyword === 'oneOf' && isKindOfRule(error)) {
    return { path, message: 'a rule has exactly one of tcp and udp' };
  }
  if (SUMMARIES.has(keyword)) return undefined;
  if (keyword === 'required' && (isKindOfService(error) || isKindOfRule(error))) return undefined;
  // A value that matches none of several types is reported once.
  const alternative = keyword === 'type' && /\/oneOf\/\d+\/type$/.test(error.schemaPath);
  if (alternative && error !== kinds[0]) return undefined;
  switch (keyword) {
    case 'additionalProperties': {
      const key = String(params['additionalProperty']);
      const known = Object.keys((parentSchema?.['properties'] as object | undefined) ?? {});
      return {
        path,
        key,
        message: `unknown key '${key}'${didYouMean(key, known) || `: expected ${known.join(', ')}`}`,
      };
    }
    case 'required':
      return { path, message: `missing key '${params['missingProperty']}'` };
    case 'enum': {
      const allowed = (params['allowedValues'] as readonly unknown[]).map(String);
      const name = error.propertyName;
      const found = name ?? error.data;
      const near = typeof found === 'string' ? didYouMean(found, allowed) : '';
      const message = `invalid value ${describe(found)}: expected one of ${allowed.join(', ')}${near}`;
      return name === undefined ? { path, message } : { path, key: name, message };
    }
    case 'type':
      return {
        path,
        message: `invalid value ${describe(error.data)}: expected ${kinds.map(kindOf).join(' or ')}`,
      };
    case 'minimum':
    case 'maximum': {
      const { minimum, maximum } = (parentSchema ?? {}) as { minimum?: number; maximum?: number };
      return { path, message: `invalid value ${describe(error.data)}: expected ${minimum} to ${maximum}` };
    }
    case 'pattern': {
      const description = parentSchema?.['description'] as string | undefined;
      // The first sentence of the description.
      const form = description?.replace(/\.( .*)?$/, '') ?? `text like ${params['pattern']}`;
      const expected = form.replace(/^A\b/, 'a');
      return { path, message: `invalid value ${describe(error.data)}: expected ${expected}` };
    }
    default:
      return { path, message: `invalid value ${describe(error.data)}: ${error.message}` };
  }
}

const isKindOfService = (error: ErrorObject): boolean => /\/services\/items\/oneOf/.test(error.schemaPath);

const isKindOfRule = (error: ErrorObject): boolean => /\/rules\/items\/oneOf/.test(error.schemaPath);

/** Returns the YAML name of a JSON type. */
const kindOf = ({ params }: ErrorObject): string =>
  ({ object: 'a map', array: 'a list', integer: 'a whole number' })[String(params['type'])] ??
  `a ${params['type']}`;

/** Returns the steps of a JSON pointer (RFC 6901). */
const pathOf = (pointer: string): Path =>
  pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'a map' : `'${String(value).slice(0, 60)}'`;
}
