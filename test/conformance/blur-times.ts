/** Makes packets of two runs alike whose IPv4 headers have times in a timestamp option (RFC 791 section 3.1). */
import { checksum } from './octets.ts';

const TIMESTAMP = 68;
const TIME_ONLY = 0;
const ICMP = 1;
const IPIP = 4;
/** ICMP errors, which quote a header: unreachable, source quench, redirect, time exceeded, parameter problem. */
const ERRORS = [3, 4, 5, 11, 12];

/**
 * Clears the times, in the header at `at` and in headers that it carries or quotes. A checksum that depends on them becomes 1
 * if it is right, otherwise 0. Reports whether there were times.
 */
export function blurTimes(octets: Buffer, at = 0, end = octets.length): boolean {
  if (at + 20 > end || octets[at]! >> 4 !== 4) return false;
  const transport = at + (octets[at]! & 15) * 4;
  if (transport > end) return false;
  const [protocol, type] = [octets[at + 9]!, octets[transport]!];
  const isError = protocol === ICMP && transport + 8 <= end && ERRORS.includes(type);
  const isMessageRight = isError && isRight(octets, transport, end);
  const isHeaderRight = isRight(octets, at, transport);
  if (isError && blurTimes(octets, transport + 8, end))
    octets.writeUInt16BE(Number(isMessageRight), transport + 2);
  else if (protocol === IPIP) blurTimes(octets, transport, end);
  if (!clearTimes(octets, at + 20, transport)) return false;
  octets.writeUInt16BE(Number(isHeaderRight), at + 10);
  return true;
}

const isRight = (octets: Buffer, from: number, to: number): boolean =>
  checksum(octets.subarray(from, to)) === 0;

/** Clears the times of the options in octets[from, to). Reports whether there is a timestamp option. */
function clearTimes(octets: Buffer, from: number, to: number): boolean {
  for (let option = from; option < to && octets[option] !== 0; ) {
    const length = octets[option] === 1 ? 1 : (octets[option + 1] ?? 0);
    if (length === 0) return false;
    if (octets[option] === TIMESTAMP) {
      const isAlone = (octets[option + 3]! & 15) === TIME_ONLY;
      const entry = isAlone ? 4 : 8;
      for (let time = option + (isAlone ? 4 : 8); time + 4 <= Math.min(option + length, to); time += entry)
        octets.fill(0, time, time + 4);
      return true;
    }
    option += length;
  }
  return false;
}
