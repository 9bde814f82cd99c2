/** The flags of schedulers, `-b`, by name. */
import { Refusal } from './refusal.ts';

/** Names of the bits from the lowest, for schedulers that have their own; the others say flag-1 to flag-3. */
const OWN: Readonly<Record<string, readonly string[]>> = {
  sh: ['sh-fallback', 'sh-port'],
  mh: ['mh-fallback', 'mh-port'],
};
const PLAIN = ['flag-1', 'flag-2', 'flag-3'];

/** Returns the bits of a comma-separated list. Throws a refusal for a name that is not one, or not one of this scheduler's. */
export function parseSchedulerFlags(text: string, scheduler: string): number {
  let bits = 0;
  for (const name of text.split(',').filter((part) => part !== '')) {
    const owner = Object.keys(OWN).find((each) => OWN[each]!.includes(name));
    if (owner !== undefined && owner !== scheduler)
      throw new Refusal(`incompatible scheduler flag \`${name}'`);
    const bit = (owner === undefined ? PLAIN : OWN[owner]!).indexOf(name);
    if (bit < 0) throw new Refusal(`invalid scheduler flag \`${name}'`);
    bits |= 1 << bit;
  }
  return bits;
}

/** Returns the list that stands for the bits; a bit that the scheduler has no name for is not shown. */
export const formatSchedulerFlags = (bits: number, scheduler: string): string =>
  (OWN[scheduler] ?? PLAIN).filter((_, i) => bits & (1 << i)).join(',');
