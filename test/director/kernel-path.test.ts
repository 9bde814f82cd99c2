import { expect, test } from 'vitest';
import type { Frame } from '../../src/wire/frame.ts';
import { Directed } from '../support/directed.ts';

/** A director that notes when it holds a connection, sends a packet, and lets programs forward the next ones. */
class Noted extends Directed {
  readonly steps: string[] = [];

  override transmit(frame: Frame, nextHop: Parameters<Directed['transmit']>[1]): boolean {
    this.steps.push('send');
    return super.transmit(frame, nextHop);
  }
}

test('programs track no answer to a SYN or SYN+ACK before the director has tracked it', () => {
  const directed = new Noted().serve('tcp 192.0.2.80:80', ['10.0.0.1:80']);
  const { steps } = directed;
  directed.director.context.kernelPath.attach({
    hold: () => steps.push('hold'),
    learn: () => steps.push('learn'),
    collect: () => {},
    admission: () => undefined,
    admitted: () => {},
  });
  for (const line of [
    '203.0.113.7:4000 > 192.0.2.80:80 SYN',
    '10.0.0.1:80 > 203.0.113.7:4000 SYN+ACK',
    '203.0.113.7:4000 > 192.0.2.80:80 ACK',
  ])
    expect(directed.receive(line)).toBe('forwarded');
  expect(steps).toEqual(['hold', 'send', 'learn', 'hold', 'send', 'learn', 'send', 'learn']);
});
