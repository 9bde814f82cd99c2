import { expect, test } from 'vitest';
import type { FlowOffload } from '../../src/forwarding/offload.ts';
import type { CapturedPackets } from '../../src/model/capture.ts';
import { LvsError } from '../../src/model/errors.ts';
import { PacketTap } from '../../src/runtime/packet-capture.ts';
import type { Frame } from '../../src/wire/frame.ts';
import { Directed, VIP } from '../support/directed.ts';
import { frameOf, lineOf } from '../support/packets.ts';

const WEB = { protocol: 'tcp', address: VIP, port: 80 } as const;

/** A tap on a director whose sender is the tests' host. */
function tapped() {
  const it = new Directed().serve(`tcp ${VIP}:80`, ['10.0.0.1:8080']).serve(`tcp ${VIP}:81`, ['10.0.0.1:81']);
  const tap = new PacketTap(it.director, it);
  return { it, tap, receive: (line: string) => tap.handle(frameOf(line), it.now) };
}
const textOf = (octets: string) => lineOf(Buffer.from(octets, 'base64'));
const next = async (source: AsyncGenerator<CapturedPackets>) =>
  (await source.next()).value as CapturedPackets;

test('packets of the service are captured in both directions, before and after, with their connection', async () => {
  const { tap, receive } = tapped();
  const taking = tap.take(WEB);
  await next(taking);
  const second = next(taking);
  receive(`203.0.113.1:4000 > ${VIP}:80 TCP SYN`);
  receive(`203.0.113.1:4000 > ${VIP}:81 TCP SYN`);
  receive('10.0.0.1:8080 > 203.0.113.1:4000 TCP SYN+ACK');
  receive(`203.0.113.9:4000 > ${VIP}:80 TCP ACK`);
  const { packets, missed } = await second;
  await taking.return(undefined);
  expect(missed).toBe(0);
  expect(
    packets.map(({ octets, sent, verdict, connection }) => ({
      heard: textOf(octets),
      sent: sent.map((each) => `${textOf(each.octets)} via ${each.nextHop}`),
      verdict,
      state: connection?.split(' ')[1],
    })),
  ).toEqual([
    {
      heard: `203.0.113.1:4000 > ${VIP}:80 TCP SYN`,
      sent: ['203.0.113.1:4000 > 10.0.0.1:8080 TCP SYN via 10.0.0.1'],
      verdict: 'forwarded',
      state: 'SYN_RECV',
    },
    {
      heard: '10.0.0.1:8080 > 203.0.113.1:4000 TCP SYN+ACK',
      sent: [`${VIP}:80 > 203.0.113.1:4000 TCP SYN+ACK via 203.0.113.1`],
      verdict: 'forwarded',
      state: 'SYN_RECV',
    },
    { heard: `203.0.113.9:4000 > ${VIP}:80 TCP ACK`, sent: [], verdict: 'pass', state: undefined },
  ]);
});

test('the kernel path leaves the connections of the service to the director during a capture', async () => {
  const { it, tap, receive } = tapped();
  const { context } = it.director;
  const installed = new Set<number>();
  const offload: FlowOffload = {
    install: (row) => installed.add(row).has(row),
    remove: (row) => void installed.delete(row),
    sweep: () => {},
  };
  context.offload = offload;
  const open = (client: string, port: number, server: string) => {
    receive(`${client} > ${VIP}:${port} TCP SYN`);
    receive(`${server} > ${client} TCP SYN+ACK`);
    receive(`${client} > ${VIP}:${port} TCP ACK`);
  };
  open('203.0.113.1:1', 80, '10.0.0.1:8080');
  open('203.0.113.1:2', 81, '10.0.0.1:81');
  expect(installed.size).toBe(2);
  const taking = tap.take(WEB);
  await next(taking);
  expect(installed.size).toBe(1);
  open('203.0.113.1:3', 80, '10.0.0.1:8080');
  open('203.0.113.1:4', 81, '10.0.0.1:81');
  expect(installed.size).toBe(2);
  await taking.return(undefined);
  expect(context.offload).toBe(offload);
  receive(`203.0.113.1:1 > ${VIP}:80 TCP ACK`);
  expect(installed.size).toBe(3);
});

test('without a capture, the sender is unwrapped again', async () => {
  const { it, tap } = tapped();
  const own = it.transmit;
  const taking = tap.take(WEB);
  await next(taking);
  expect(it.transmit).not.toBe(own);
  await taking.return(undefined);
  expect(it.transmit).toBe(own);
});

test('packets without room are counted, and forwarding does not change', async () => {
  const { tap } = tapped();
  const taking = tap.take(WEB);
  await next(taking);
  const second = next(taking);
  const frame: Frame = frameOf(`203.0.113.9:4000 > ${VIP}:80 TCP ACK`);
  const verdicts = new Set(Array.from({ length: 20_100 }, () => tap.handle(frame, 0)));
  expect([...verdicts]).toEqual(['pass']);
  const { packets, missed } = await second;
  await taking.return(undefined);
  expect([packets.length, missed]).toEqual([20_000, 100]);
});

test('one capture too many is refused', async () => {
  const { tap } = tapped();
  const takings = Array.from({ length: 5 }, () => tap.take(WEB));
  const outcomes = await Promise.allSettled(takings.map(next));
  expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([
    { status: 'rejected', reason: expect.any(LvsError) },
  ]);
  await Promise.all(takings.map((each) => each.return(undefined)));
});
