/** A check of lvs.yaml with its defaults; what its keys say that its type has no use for is told. */
import type { Check } from '../../model/check.ts';
import { DEFAULT_CHECK } from '../document.ts';
import type { YamlFile } from '../schema.ts';
import type { Path } from './position.ts';
import type { YamlContext } from './yaml-context.ts';

type YamlCheck = NonNullable<NonNullable<YamlFile['defaults']>['check']>;

/** Keys that only some types read. */
const ONLY: Readonly<Partial<Record<keyof YamlCheck, readonly Check['type'][]>>> = {
  path: ['http'],
  host: ['http'],
  status: ['http'],
  send: ['udp'],
  expect: ['http', 'udp'],
  command: ['command'],
  'max-step': ['agent'],
};

export function checkOf(
  { notes, place }: YamlContext,
  check: YamlCheck | undefined,
  path: Path,
): Check | undefined {
  if (!check) return undefined;
  const { 'max-step': maxStep, 'slow-start': slowStart, ...rest } = check;
  if (check.type === 'command' && !check.command)
    notes.error(place(path), "'command' is missing here: the program that a check of type command runs");
  for (const key of Object.keys(check) as (keyof YamlCheck)[]) {
    const types = ONLY[key];
    if (types && !types.includes(check.type))
      notes.warning(
        place([...path, key]),
        `'${key}' is for checks of type ${types.join(' and ')}: ${check.type} does not look at it`,
      );
  }
  return {
    ...DEFAULT_CHECK,
    ...rest,
    ...(maxStep !== undefined && { maxStep }),
    ...(slowStart !== undefined && { slowStart }),
  };
}
