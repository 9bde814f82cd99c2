import fc from 'fast-check';
import { expect, test } from 'vitest';
import { forwardingMethods } from '../../src/forwarding/index.ts';
import { Packet } from '../../src/wire/packet.ts';
import { framed } from '../support/packets.ts';
import { recordings } from './recorded.ts';
import { RecordedDirector } from './recorded-host.ts';

const all = recordings();

test('damaged packets cause no exception, and nothing malformed is forwarded', () => {
  const damage = fc.record({
    recording: fc.nat(all.length - 1),
    changes: fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }),
    /** Octets cut off at the end, for every packet. */
    cut: fc.oneof(fc.constant(0), fc.nat(60)),
  });
  fc.assert(
    fc.property(damage, ({ recording, changes, cut }) => {
      const { clientMtu, serverMtu, steps } = all[recording]!;
      const director = new RecordedDirector(clientMtu, serverMtu);
      const packet = new Packet();
      for (const { commands, heard } of steps) {
        for (const command of commands) director.command(command);
        for (const { side, octets } of heard) {
          // Every other packet is as it was, so that connections come about.
          director.hear(octets, side === 'server');
          const damaged = octets.slice(0, octets.length - cut);
          for (const [at, value] of changes) if (at < damaged.length) damaged[at] = value;
          director.hear(damaged, side === 'server');
        }
      }
      for (const { octets } of director.host.sent) expect(packet.decode(framed(octets))).toBe(true);
    }),
    { numRuns: 200 },
  );
});

test('replies pass through the director only under NAT', () => {
  const twoWay = Object.entries(forwardingMethods).filter(([, method]) => method.reply !== undefined);
  expect(twoWay.map(([name]) => name)).toEqual(['nat', 'local']);
});
