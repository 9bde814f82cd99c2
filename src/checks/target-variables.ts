/** The variables `$ADDRESS` and `$PORT` in the words of a check. */
import type { Target } from './probe.ts';

/** Returns `text` with `$ADDRESS`, `${ADDRESS}`, `$PORT` and `${PORT}` replaced by the address and port of the target. */
export const expandVariables = (text: string, { address, port }: Pick<Target, 'address' | 'port'>): string =>
  text.replace(/\$(?:(ADDRESS|PORT)\b|\{(ADDRESS|PORT)\})/g, (_, plain?: string, braced?: string) =>
    (plain ?? braced) === 'ADDRESS' ? address : String(port),
  );
