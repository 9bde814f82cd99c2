/** The server's own agent is asked, by the text protocol of HAProxy's agent-check: it is connected to, and says a line. */
import { connect } from 'node:net';
import { parseAgentWords } from './agent-protocol.ts';
import { wordsOf } from './connect-errors.ts';
import type { Observation, Probe } from './probe.ts';

/** Octets of an answer: more is no agent. */
const LONGEST = 1024;

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
      const agent = parseAgentWords(line);
      done(
        agent
          ? { healthy: agent.health !== 'down', message: `agent: ${line.trim()}`, agent }
          : { healthy: false, message: text === '' ? 'the agent says nothing' : 'no words of an agent' },
      );
    };
    socket.setEncoding('latin1');
    socket.on('data', (more: string) => {
      text += more;
      if (/[\r\n]/.test(text)) finish();
      else if (text.length > LONGEST) done({ healthy: false, message: 'no words of an agent' });
    });
    socket.on('end', finish);
    socket.on('error', (error) => done({ healthy: false, message: wordsOf(error, signal, check.timeout) }));
  });
