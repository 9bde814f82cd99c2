import { expect, test } from 'vitest';
import type { KernelPath } from '../../src/director/kernel-path.ts';
import type { CapturedPackets } from '../../src/model/capture.ts';
import { LvsError } from '../../src/model/errors.ts';
import { PacketCaptures } from '../../src/runtime/packet-capture.ts';
import type { Frame } from '../../src/wire/frame.ts';
import { VIP } from '../support/directed.ts';
import { frameOf, lineOf } from '../support/packets.ts';
import { RecordedDirector } from '../support/recorded-director.ts';

const WEB = { protocol: 'tcp', address: VIP, port: 80 } as const;

function captured() {
  const it = new RecordedDirector();
  it.serve(`tcp ${VIP}:80`, ['10.0.0.1:8080']).serve(`tcp ${VIP}:81`, ['10.0.0.1:81']);
  const captures = new PacketCaptures(it.director, it.sender);
  return { it, captures, receive: (line: string) => captures.handle(frameOf(line), it.now) };
}
const textOf = (octets: string) => lineOf(Buffer.from(octets, 'base64'));
const next = async (source: AsyncGenerator<CapturedPackets>) =>
  (await source.next()).value as CapturedPackets;

test('packets of the service are captured in both directions, before and after, with their connection', async () => {
  const { captures, receive } = captured();
  const capture = captures.take(WEB);
  await next(capture);
  const second = next(capture);
  receive(`203.0.113.1:4000 > ${VIP}:80 TCP SYN`);
  receive(`203.0.113.1:4000 > ${VIP}:81 TCP SYN`);
  receive('10.0.0.1:8080 > 203.0.113.1:4000 TCP SYN+ACK');
  receive(`203.0.113.9:4000 > ${VIP}:80 TCP ACK`);
  const { packets, missed } = await second;
  await capture.return(undefined);
  expect(missed).toBe(0);
  expect(
    packets.map(({ octets, sent, verdict, connection }) => ({
      received: textOf(octets),
      sent: sent.map((each) => `${textOf(each.octets)} via ${each.nextHop}`),
      verdict,
      state: connection?.split(' ')[1],
    })),
  ).toEqual([
    {
      received: `203.0.113.1:4000 > ${VIP}:80 TCP SYN`,
      sent: ['203.0.113.1:4000 > 10.0.0.1:8080 TCP SYN via 10.0.0.1'],
      verdict: 'forwarded',
      state: 'SYN_RECV',
    },
    {
      received: '10.0.0.1:8080 > 203.0.113.1:4000 TCP SYN+ACK',
      sent: [`${VIP}:80 > 203.0.113.1:4000 TCP SYN+ACK via 203.0.113.1`],
      verdict: 'forwarded',
      state: 'SYN_RECV',
    },
    { received: `203.0.113.9:4000 > ${VIP}:80 TCP ACK`, sent: [], verdict: 'pass', state: undefined },
  ]);
});

test('the kernel path leaves the connections of the service to the director during a capture', async () => {
  const { it, captures, receive } = captured();
  const { context } = it.director;
  const known = new Set<number>();
  const path: KernelPath = {
    learn: (row) => void known.add(row),
    hold: (row) => void known.delete(row),
    collect: () => {},
    admission: () => undefined,
    admitted: () => {},
  };
  context.kernelPath.attach(path);
  const open = (client: string, port: number, server: string) => {
    receive(`${client} > ${VIP}:${port} TCP SYN`);
    receive(`${server} > ${client} TCP SYN+ACK`);
    receive(`${client} > ${VIP}:${port} TCP ACK`);
  };
  open('203.0.113.1:1', 80, '10.0.0.1:8080');
  open('203.0.113.1:2', 81, '10.0.0.1:81');
  expect(known.size).toBe(2);
  const capture = captures.take(WEB);
  await next(capture);
  expect(known.size).toBe(1);
  open('203.0.113.1:3', 80, '10.0.0.1:8080');
  open('203.0.113.1:4', 81, '10.0.0.1:81');
  expect(known.size).toBe(2);
  await capture.return(undefined);
  receive(`203.0.113.1:1 > ${VIP}:80 TCP ACK`);
  expect(known.size).toBe(3);
});

test('packets without room are counted, and forwarding does not change', async () => {
  const { captures } = captured();
  const capture = captures.take(WEB);
  await next(capture);
  const second = next(capture);
  const frame: Frame = frameOf(`203.0.113.9:4000 > ${VIP}:80 TCP ACK`);
  const verdicts = new Set(Array.from({ length: 20_100 }, () => captures.handle(frame, 0)));
  expect([...verdicts]).toEqual(['pass']);
  const { packets, missed } = await second;
  await capture.return(undefined);
  expect([packets.length, missed]).toEqual([20_000, 100]);
});

test('one capture too many is refused', async () => {
  const { captures } = captured();
  const all = Array.from({ length: 5 }, () => captures.take(WEB));
  const outcomes = await Promise.allSettled(all.map(next));
  expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([
    { status: 'rejected', reason: expect.any(LvsError) },
  ]);
  await Promise.all(all.map((each) => each.return(undefined)));
});
