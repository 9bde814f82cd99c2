/**
 * Sends Ethernet frames as they are given, in hexadecimal, on an interface.
 *
 *   node dist/test/support/send-frames.js eth0 ffffffffffff0200...
 */
import { PacketSocket } from '../../src/sys/packet-socket.ts';
import { loadSystem } from '../../src/sys/system.ts';

/** Drops everything: the socket only sends (BPF_RET, 0). */
const NOTHING = [[0x06, 0, 0, 0]] as const;

const [device = 'eth0', ...frames] = process.argv.slice(2);
const system = await loadSystem();
using socket = new PacketSocket(system, {
  interfaceIndex: system.interfaceIndex(device),
  protocol: 0,
  filter: NOTHING,
  frameBytes: 65_536,
});
for (const hex of frames) {
  const frame = Buffer.from(hex, 'hex');
  socket.buffer.bytes.set(frame);
  socket.send(frame.length);
}
