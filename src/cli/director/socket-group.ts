/** The group that may use the control socket, as it is named on the command line. */
import { spawnSync } from 'node:child_process';
import { InvalidArgumentError } from 'commander';

/** Largest number of a group; the one above means none (chown(2)). */
const LARGEST = 2 ** 32 - 2;

/** The number of a group that is given by name or number. Throws commander's error for what is neither. */
export function socketGroup(text: string): number {
  if (/^\d+$/.test(text)) {
    if (Number(text) <= LARGEST) return Number(text);
    throw new InvalidArgumentError(`a group's number is at most ${LARGEST}`);
  }
  // getent asks everything that the host has its groups from, not /etc/group alone.
  const { stdout } = spawnSync('getent', ['group', '--', text], { encoding: 'utf8' });
  const number = /^[^:]*:[^:]*:(\d+):/.exec(stdout ?? '')?.[1];
  if (number === undefined) throw new InvalidArgumentError('there is no such group');
  return Number(number);
}
