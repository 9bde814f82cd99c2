/**
 * The udp probe: sends a datagram. An expected text must be in the answer; without one, only an ICMP error is a
 * failure.
 */
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { failureOf } from './connect-errors.ts';
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
          ? { healthy: true, message: 'no ICMP error received' }
          : { healthy: false, message: `no answer in ${timeout} s` },
      );
    signal.addEventListener('abort', late);
    socket.on('error', (error) => done(failureOf(error, signal, timeout)));
    socket.on('message', (message) => {
      const good = expect === undefined || message.includes(expect);
      done({
        healthy: good,
        message: good ? 'answered' : `answered, but the answer does not contain '${expect}'`,
      });
    });
    // A connected socket receives ICMP errors, and answers from this address only.
    socket.once('connect', () => socket.send(send));
    socket.connect(port, address);
  });
