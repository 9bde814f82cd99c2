/** Reads the checks of lvs.yaml. */
import { parseBodyPattern } from '../../model/body-pattern.ts';
import type { Check, StatusRange } from '../../model/check.ts';
import { DEFAULT_CHECK } from '../document.ts';
import type { YamlFile } from '../schema.ts';
import type { Path } from './position.ts';
import type { YamlContext } from './yaml-context.ts';

type Written = NonNullable<NonNullable<YamlFile['defaults']>['check']>;
type YamlCheck = Exclude<Written, string | readonly unknown[]>;

const HTTP: readonly Check['type'][] = ['http', 'https'];

/** Keys that only some types use. */
const ONLY: Readonly<Partial<Record<keyof YamlCheck, readonly Check['type'][]>>> = {
  path: HTTP,
  host: HTTP,
  status: HTTP,
  redirects: HTTP,
  sni: ['https'],
  verify: ['https'],
  send: ['udp'],
  query: ['dns'],
  record: ['dns'],
  helo: ['smtp'],
  expect: [...HTTP, 'udp', 'dns'],
  match: [...HTTP, 'dns'],
  digest: HTTP,
  command: ['command'],
  user: ['command'],
  dynamic: ['command'],
  'max-step': ['agent'],
};

/** Returns the checks at a path; undefined: none. Reports what is wrong with them. */
export function checksOf(
  context: YamlContext,
  written: Written | undefined,
  path: Path,
): readonly Check[] | undefined {
  if (written === undefined || typeof written === 'string') return undefined;
  return Array.isArray(written)
    ? (written as readonly YamlCheck[]).map((each, i) => checkOf(context, each, [...path, i]))
    : [checkOf(context, written as YamlCheck, path)];
}

/** Returns the check at a path. Reports what is wrong with it. */
export function checkOf({ notes, place }: YamlContext, check: YamlCheck, path: Path): Check {
  const {
    'max-step': maxStep,
    'slow-start': slowStart,
    'retry-interval': retryInterval,
    status,
    digest,
    ...rest
  } = check;
  const ranges = status === undefined ? undefined : (Array.isArray(status) ? status : [status]).map(rangeOf);
  for (const [first, last] of ranges ?? [])
    if (first > last)
      notes.error(place([...path, 'status']), `invalid status range ${first}-${last}: expected first-last`);
  const why = check.match === undefined ? undefined : whyNoPattern(check.match);
  if (why !== undefined) notes.error(place([...path, 'match']), why);
  if (check.type === 'command' && !check.command)
    notes.error(place(path), "missing key 'command': expected the program that a check of type command runs");
  for (const key of Object.keys(check) as (keyof YamlCheck)[]) {
    const types = ONLY[key];
    if (types && !types.includes(check.type))
      notes.warning(
        place([...path, key]),
        `'${key}' is for checks of type ${types.join(' and ')}: ${check.type} ignores it`,
      );
  }
  return {
    ...DEFAULT_CHECK,
    ...rest,
    ...(retryInterval !== undefined && { retryInterval }),
    ...(ranges && { status: ranges }),
    ...(digest !== undefined && { digest: digest.toLowerCase() }),
    ...(maxStep !== undefined && { maxStep }),
    ...(slowStart !== undefined && { slowStart }),
  };
}

function rangeOf(text: number | string): StatusRange {
  const [first = '', last = first] = String(text).split('-');
  return [Number(first), Number(last)];
}

function whyNoPattern(text: string): string | undefined {
  try {
    parseBodyPattern(text);
    return undefined;
  } catch (error) {
    return (error as SyntaxError).message;
  }
}
