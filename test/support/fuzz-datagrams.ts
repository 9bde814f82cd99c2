/**
 * Sends random and changed sync messages to a multicast group, and prints "sent" at the end. Every second one is a message
 * of version 1 with some bytes changed.
 *
 *   node dist/test/support/fuzz-datagrams.js 192.168.1.1 224.0.0.81 8848 20000
 *
 * The first address is that of the interface, or its name for a group of IPv6.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { SyncEntry } from '../../src/sync/entry.ts';
import * as v1 from '../../src/sync/message-v1.ts';
import { parseAddress } from '../../src/wire/address.ts';
import { seeded } from './directed.ts';

const [source = '', group = '', port = '', count = ''] = process.argv.slice(2);
const random = seeded(11);
const below = (limit: number) => Math.floor(random() * limit);

const isV6 = group.includes(':');
const socket = createSocket(isV6 ? 'udp6' : 'udp4');
socket.bind(isV6 ? { port: 0 } : { port: 0, address: source });
await once(socket, 'listening');
socket.setMulticastInterface(isV6 ? `::%${source}` : source);

/** Returns a message about connections, some of them new and some ended. */
function message(): Buffer {
  const into = Buffer.alloc(1472);
  const entries = 1 + below(20);
  let length = v1.HEADER_BYTES;
  for (let i = 0; i < entries; i++) {
    const entry = Object.assign(new SyncEntry(), { protocol: 6, state: below(11), flags: below(0x2000) });
    Object.assign(entry, { cport: below(65_536), vport: 80, dport: 80, timeout: below(1000) });
    entry.caddr.set(parseAddress(`203.0.113.${below(256)}`)!);
    entry.vaddr.set(parseAddress('192.168.0.101')!);
    entry.daddr.set(parseAddress(`192.168.1.${below(8)}`)!);
    length += v1.paddingAfter(length);
    v1.writeEntry(into, length, entry);
    length += v1.entryBytes(entry);
  }
  v1.writeHeader(into, 7, length, entries);
  for (let i = below(4); i > 0; i--) into[below(length)] = below(256);
  return into.subarray(0, length);
}

for (let i = 0; i < Number(count); i++) {
  const datagram = i % 2 === 0 ? message() : Buffer.alloc(below(1600)).map(() => below(256));
  await new Promise<void>((resolve) =>
    socket.send(datagram, Number(port), isV6 ? `${group}%${source}` : group, () => resolve()),
  );
}
socket.close();
process.stdout.write('sent\n');
