import { expect, test } from 'vitest';
import { Director } from '../../../src/director/director.ts';
import { formatAddress, parseAddress } from '../../../src/wire/address.ts';
import { Frame } from '../../../src/wire/frame.ts';
import { packetOfLine } from '../../../src/wire/packet-line.ts';

test('the host decides which sources are valid on an interface, only when a connection is admitted', () => {
  const source = parseAddress('10.0.0.254')!;
  const asked: string[] = [];
  let isValid = false;
  const director = new Director({
    host: {
      transmit: () => true,
      route: () => ({ mtu: 1500, source }),
      isLocal: () => false,
      isValidSource(from, to, ingress) {
        asked.push(`${formatAddress(from)} ${formatAddress(to)} ${ingress}`);
        return isValid;
      },
    },
  });
  const service = { protocol: 'tcp', address: '192.0.2.80', port: 80 } as const;
  director.apply({ op: 'add-service', service, options: { scheduler: 'rr' } }, 0);
  director.apply(
    {
      op: 'add-destination',
      service,
      destination: { address: '10.0.0.1', port: 80 },
      options: { method: 'dr' },
    },
    0,
  );
  const frame = new Frame();
  const handle = (line: string) => {
    frame.load(packetOfLine(line));
    frame.ingress = 7;
    return director.handle(frame, 0);
  };
  const SYN = '203.0.113.7:1000 > 192.0.2.80:80 TCP SYN';
  expect(handle(SYN)).toBe('martian-source');
  expect(director.snapshot(0).drops['martian-source']).toBe(1);
  isValid = true;
  expect(handle(SYN)).toBe('forwarded');
  expect(asked).toEqual(['203.0.113.7 192.0.2.80 7', '203.0.113.7 192.0.2.80 7']);
  isValid = false;
  expect(handle('203.0.113.7:1000 > 192.0.2.80:80 TCP ACK')).toBe('forwarded');
  // What is no service's is left to the host, which has its own rules.
  expect(handle('203.0.113.7:1000 > 192.0.2.81:80 TCP SYN')).toBe('pass');
  expect(asked).toHaveLength(2);
});
