/** Many packets in one line of a scenario: a range in the client's address or port stands for one packet each. */

/** `203.0.113.7:4000-4003 > ...` are four packets, `203.0.113.1-9:4000 > ...` nine. */
export function packetsOf(line: string): string[] {
  const match = /^(.*?)(\d+)-(\d+)(.*)$/.exec(line);
  if (!match) return [line];
  const [, left, first, last, right] = match;
  const count = Number(last) - Number(first) + 1;
  if (!(count > 0)) throw new Error(`a range that goes down: ${line}`);
  return Array.from({ length: count }, (_none, i) => `${left}${Number(first) + i}${right}`);
}
