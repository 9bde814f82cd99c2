/** Counts the TCP connections of this host by local address, as the kernel lists them. */

import { readHostFile } from '../../host/host-file.ts';
import { parseAddress } from '../../wire/address.ts';

/** State TCP_LISTEN and TCP_TIME_WAIT in the column st (include/net/tcp_states.h). */
const NOT_OPEN = new Set(['0A', '06']);
const LOCAL = 1;
const STATE = 3;

/** Returns the open connections whose local address is one of `addresses`. */
export function openConnections(addresses: readonly string[]): number {
  const wanted = new Set(addresses.flatMap((text) => hexOf(text)));
  let count = 0;
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6'])
    for (const line of linesOf(file)) {
      const columns = line.trim().split(/\s+/);
      const [address = ''] = (columns[LOCAL] ?? '').split(':');
      if (wanted.has(address) && !NOT_OPEN.has(columns[STATE] ?? '')) count++;
    }
  return count;
}

function linesOf(file: string): string[] {
  try {
    return readHostFile(file).split('\n').slice(1);
  } catch {
    return []; // without IPv6
  }
}

/** Words as the kernel prints them: in host byte order. An IPv4 address also appears as mapped to IPv6. */
function hexOf(text: string): string[] {
  const address = parseAddress(text);
  if (!address) return [];
  const view = new DataView(new ArrayBuffer(4));
  const words = [...address].map((word) => {
    view.setUint32(0, word);
    return view.getUint32(0, true).toString(16).toUpperCase().padStart(8, '0');
  });
  return text.includes(':') ? [words.join('')] : [words[3]!, words.join('')];
}
