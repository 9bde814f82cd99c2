/** A connection is made, and ended at once. */
import { connect } from 'node:net';
import { wordsOf } from './connect-errors.ts';
import type { Observation, Probe } from './probe.ts';

export const tcpProbe: Probe = ({ address, port, check }, signal) =>
  new Promise<Observation>((resolve) => {
    const socket = connect({ host: address, port, signal });
    socket.once('connect', () => {
      resolve({ healthy: true, message: 'connected' });
      // A reset, so that no port of this host waits in TIME_WAIT for it.
      socket.resetAndDestroy();
    });
    socket.on('error', (error) =>
      resolve({ healthy: false, message: wordsOf(error, signal, check.timeout) }),
    );
  });
