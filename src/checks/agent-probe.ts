/** The agent probe: connects to an agent on the server and reads a line, by the protocol of HAProxy's agent-check. */
import { connect } from 'node:net';
import { parseAgentReport } from './agent-protocol.ts';
import { failureOf } from './connect-errors.ts';
import type { Observation, Probe } from './probe.ts';

/** Maximum length of an answer, bytes. */
const MAX_ANSWER_BYTES = 1024;

export const agentProbe: Probe = ({ address, port, check }, signal) =>
  new Promise<Observation>((resolve) => {
    const socket = connect({ host: address, port, signal });
    let text = '';
    const done = (observation: Observation) => {
      resolve(observation);
      socket.destroy();
    };
    const finish = () => {
      const line = text.split(/[\r\n]/)[0]!;
      const agent = parseAgentReport(line);
      done(
        agent
          ? { healthy: agent.health !== 'down', message: `agent: ${line.trim()}`, agent }
          : { healthy: false, message: text === '' ? 'the agent sent no data' : 'invalid agent response' },
      );
    };
    socket.setEncoding('latin1');
    socket.on('data', (more: string) => {
      text += more;
      if (/[\r\n]/.test(text)) finish();
      else if (text.length > MAX_ANSWER_BYTES) done({ healthy: false, message: 'invalid agent response' });
    });
    socket.on('end', finish);
    socket.on('error', (error) => done(failureOf(error, signal, check.timeout)));
  });
