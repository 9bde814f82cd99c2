/** The words of HAProxy's agent-check protocol (HAProxy 2.8 configuration manual, "agent-check"), one line of them. */
import type { AgentWords } from './probe.ts';

/** Most that a percentage may be; more is taken as this. */
const MOST = 100;

/** undefined: not one word of it is known. Words are separated by blanks, tabs or commas; # begins a comment. */
export function parseAgentWords(line: string): AgentWords | undefined {
  let words: AgentWords | undefined;
  for (const word of line
    .replace(/#.*/, '')
    .toLowerCase()
    .split(/[\s,]+/)) {
    const part = wordOf(word);
    if (part) words = { ...words, ...part };
  }
  return words;
}

function wordOf(word: string): AgentWords | undefined {
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
      if (percent) return { percent: Math.min(MOST, Number(percent[1])) };
      return /^maxconn:\d{1,9}$/.test(word) ? {} : undefined;
    }
  }
}
