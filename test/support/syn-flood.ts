/**
 * Sends TCP SYNs that nothing will follow, from addresses that no host has, and prints `sent` and their number every second and at the end.
 *
 *   node dist/test/support/syn-flood.js eth0 DIRECTOR_MAC VIP NUMBER PER_SECOND
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { linkFacts } from '../../src/host/link-facts.ts';
import { PacketSocket } from '../../src/sys/packet-socket.ts';
import { loadSystem } from '../../src/sys/system.ts';
import { parseMac } from '../../src/wire/ethernet.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { ethernetOf } from './packets.ts';

/** Drops everything: the socket only sends (BPF_RET, 0). */
const NOTHING = [[0x06, 0, 0, 0]] as const;
/** Addresses of the laboratory's network without a host: 192.168.0.210 to .249. */
const SOURCES = 40;

const [device = 'eth0', mac = '', vip = '', number = '0', perSecond = '0'] = process.argv.slice(2);
const system = await loadSystem();
using socket = new PacketSocket(system, {
  interfaceIndex: system.interfaceIndex(device),
  protocol: 0,
  filter: NOTHING,
  frameBytes: 2048,
});
const to = parseMac(mac)!;
const from = parseMac(linkFacts(device)!.mac)!;
const began = performance.now();
for (let sent = 0, second = 0; sent < Number(number); ) {
  const due = Math.min(Number(number), ((performance.now() - began) / 1000) * Number(perSecond));
  for (; sent < due; sent++) {
    const client = `192.168.0.${210 + (sent % SOURCES)}:${1024 + Math.floor(sent / SOURCES)}`;
    const frame = ethernetOf(packetOfLine(`${client} > ${vip}:80 TCP SYN`), to, from);
    socket.buffer.bytes.set(frame);
    socket.send(frame.length);
  }
  if (performance.now() - began >= 1000 * (second + 1)) {
    second++;
    process.stdout.write(`sent ${sent}\n`);
  }
  await sleep(2);
}
process.stdout.write(`sent ${number}\n`);
