/** The socket for merged packets, on the loopback interface: needs root. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { linkFacts } from '../../src/host/link-facts.ts';
import { MergedReceiver } from '../../src/io/merged-receiver.ts';
import { loadSystem } from '../../src/sys/system.ts';
import { ETHERNET_HEADER } from '../../src/wire/ethernet.ts';
import { IPV4_HEADER } from '../../src/wire/ipv4.ts';
import { UDP_HEADER } from '../../src/wire/udp.ts';

const PAYLOAD = 60_000;
const FRAME = ETHERNET_HEADER + IPV4_HEADER + UDP_HEADER + PAYLOAD;
/** More than the receive buffer has room for. */
const SENT = 3000;
const SEND = `
const socket = require('node:dgram').createSocket('udp4');
const payload = Buffer.alloc(${PAYLOAD});
let left = ${SENT};
const send = () => (left-- > 0 ? socket.send(payload, 9, '127.0.0.1', send) : socket.close());
send();
`;

async function open() {
  const received = { frames: 0 };
  try {
    const receiver = new MergedReceiver(await loadSystem());
    const opened = receiver.open(linkFacts('lo')!.index, FRAME - 1, (_bytes, at, end) => {
      if (end - at === FRAME) received.frames++;
    });
    return { receiver, opened, received };
  } catch (error) {
    return (error as Error).message;
  }
}

test('packets that the kernel dropped are counted, also after their socket was closed', async ({ skip }) => {
  const it = await open();
  if (typeof it === 'string') return skip(it);
  using receiver = it.receiver;
  expect(receiver.dropped).toBe(0);
  // Nothing is read meanwhile.
  spawnSync(process.execPath, ['-e', SEND]);
  const { dropped } = receiver;
  expect(dropped).toBeGreaterThan(0);
  await expect.poll(() => it.received.frames + dropped).toBeGreaterThanOrEqual(SENT);
  spawnSync(process.execPath, ['-e', SEND]);
  it.opened[Symbol.dispose]();
  expect(receiver.dropped).toBeGreaterThan(dropped);
});
