/** Parses a line of HAProxy's agent-check protocol (HAProxy 2.8 configuration manual, "agent-check"). */
import type { AgentReport } from './probe.ts';

/** Higher percentages are limited to this. */
const MAX_PERCENT = 100;

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
