/** Scheduler flags, `-b`, by name. */
import { Refusal } from './refusal.ts';

/** Names of the bits from the lowest, for schedulers with names for them; others have flag-1 to flag-3. */
const OWN: Readonly<Record<string, readonly string[]>> = {
  sh: ['sh-fallback', 'sh-port'],
  mh: ['mh-fallback', 'mh-port'],
};
const PLAIN = ['flag-1', 'flag-2', 'flag-3'];

/**
 * Returns the bits of a comma-separated list. Throws a refusal for an unknown name, or one of another
 * scheduler.
 */
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

/** Returns the names of the bits; bits without a name for this scheduler are omitted. */
export const formatSchedulerFlags = (bits: number, scheduler: string): string =>
  (OWN[scheduler] ?? PLAIN).filter((_, i) => bits & (1 << i)).join(',');
