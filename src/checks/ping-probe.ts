/** The ping probe: sends an ICMP echo request (RFC 792, RFC 4443) by the program ping of iputils. */
import { commandProbe } from './command-probe.ts';
import type { Probe } from './probe.ts';

export const pingProbe: Probe = async (target, signal) => {
  const { address, check } = target;
  const wait = String(Math.ceil(check.timeout));
  const command = ['ping', '-n', '-q', '-c', '1', '-W', wait, address];
  const { message, ...observation } = await commandProbe({ ...target, check: { ...check, command } }, signal);
  if (observation.healthy) return { ...observation, message: 'echo reply received' };
  if (message === 'program not found') return { ...observation, message: 'ping: not found: install iputils' };
  // Status 1 without a reply; the first line repeats the address.
  return { ...observation, message: /^status 1\b/.test(message) ? 'no echo reply' : message };
};
