/** Measures the decoding of a packet. */
import { Packet } from '../src/wire/packet.ts';
import { frameOf } from '../test/support/packets.ts';
import { type Effort, type Figure, nanoseconds } from './measure.ts';

const PACKETS = {
  'IPv4 TCP': '203.0.113.7:4000 > 192.0.2.80:80 ACK len=512',
  'IPv4 UDP': '203.0.113.7:4000 > 192.0.2.80:53 UDP len=64',
  'IPv6 TCP': '[2001:db8::7]:4000 > [2001:db8::80]:80 ACK len=512',
};

export function decode(effort: Effort): Figure[] {
  const packet = new Packet();
  return Object.entries(PACKETS).map(([name, line]) => {
    const frame = frameOf(line);
    const rounds = nanoseconds(effort, 1_000_000, (calls) => {
      for (let i = 0; i < calls; i++) if (!packet.decode(frame)) throw new Error(`invalid packet: ${line}`);
    });
    return { name: `decode: ${name}`, ...rounds };
  });
}
