/**
 * The agent probe: connects to an agent on the server and reads a line of HAProxy's agent-check protocol (HAProxy 2.8
 * configuration manual, "agent-check").
 */
import { connect } from 'node:net';
import { failureOf } from './connect-errors.ts';
import type { AgentReport, Observation, Probe } from './probe.ts';

/** Maximum length of an answer, bytes. */
const MAX_ANSWER_BYTES = 1024;
/** Higher percentages are limited to this. */
const MAX_PERCENT = 100;

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

/** Returns the report; undefined: no known word. Words are separated by spaces, tabs or commas; # begins a comment. */
export function parseAgentReport(line: string): AgentReport | undefined {
  let words: AgentReport | undefined;
  for (const word of line
    .replace(/#.*/, '')
    .toLowerCase()
    .split(/[\s,]+/)) {
    const part = wordOf(word);
    if (part) words = { ...words, ...part };
  }
  return words;
}

function wordOf(word: string): AgentReport | undefined {
  switch (word) {
    case 'up':
      return { health: 'up' };
    case 'down':
    case 'fail':
    case 'failed':
    case 'stopped':
      return { health: 'down' };
    case 'ready':
      return { admin: 'ready' };
    case 'drain':
    case 'maint':
      return { admin: 'drain' };
    default: {
      const percent = /^(\d{1,9})%$/.exec(word);
      if (percent) return { percent: Math.min(MAX_PERCENT, Number(percent[1])) };
      return /^maxconn:\d{1,9}$/.test(word) ? {} : undefined;
    }
  }
}
