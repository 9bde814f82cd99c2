/** The tcp probe: opens a connection and closes it immediately. */
import { connect } from 'node:net';
import { failureOf } from './connect-errors.ts';
import type { Observation, Probe } from './probe.ts';

export const tcpProbe: Probe = ({ address, port, check }, signal) =>
  new Promise<Observation>((resolve) => {
    const socket = connect({ host: address, port, signal });
    socket.once('connect', () => {
      resolve({ healthy: true, message: 'connected' });
      // A reset, so that no port of this host stays in TIME_WAIT.
      socket.resetAndDestroy();
    });
    socket.on('error', (error) => resolve(failureOf(error, signal, check.timeout)));
  });
