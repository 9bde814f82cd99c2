/** A datagram is sent. With an expected text an answer has to have it; without, silence is good and a refusal is not. */
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { wordsOf } from './connect-errors.ts';
import type { Observation, Probe } from './probe.ts';

export const udpProbe: Probe = ({ address, port, check }, signal) =>
  new Promise<Observation>((resolve) => {
    const { send = '', expect, timeout } = check;
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    let isDone = false;
    const done = (observation: Observation) => {
      if (isDone) return;
      isDone = true;
      signal.removeEventListener('abort', late);
      resolve(observation);
      socket.close();
    };
    const late = () =>
      done(
        expect === undefined
          ? { healthy: true, message: 'nobody refused it' }
          : { healthy: false, message: `no answer in ${timeout} s` },
      );
    signal.addEventListener('abort', late);
    socket.on('error', (error) => done({ healthy: false, message: wordsOf(error, signal, timeout) }));
    socket.on('message', (message) => {
      const good = expect === undefined || message.includes(expect);
      done({ healthy: good, message: good ? 'answered' : `answered, but without '${expect}'` });
    });
    // Connected, so that the kernel tells of a refusal and takes answers from there only.
    socket.once('connect', () => socket.send(send));
    socket.connect(port, address);
  });
