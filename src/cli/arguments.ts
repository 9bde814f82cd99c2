/** Parses the values of command-line options: listen addresses, services, endpoints, groups. */
import { spawnSync } from 'node:child_process';
import { InvalidArgumentError } from 'commander';
import type { Protocol, ServiceAddress } from '../model/service.ts';
import { formatAddress, parseAddress } from '../wire/address.ts';

/** Parses HOST:PORT, [v6]:PORT or :PORT. */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535)
    throw new InvalidArgumentError('Expected HOST:PORT, such as 127.0.0.1:9100 or [::1]:9100.');
  return { host: match[1] ?? match[2] ?? '', port };
}

export function parseEndpointArgument(text: string): { readonly address: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  const address = match && parseAddress(match[1] ?? match[2]!);
  const port = Number(match?.[3]);
  if (!address || port > 65_535)
    throw new InvalidArgumentError('Expected ADDRESS:PORT, such as 192.0.2.1:80 or [2001:db8::1]:80.');
  return { address: formatAddress(address), port };
}

export function parseServiceArgument(text: string): ServiceAddress {
  const mark = /^mark(6?):(\d{1,10})$/.exec(text);
  if (mark) return { mark: Number(mark[2]), family: mark[1] === '6' ? 6 : 4 };
  const match = /^(tcp|udp|sctp):(.+)$/.exec(text);
  if (!match)
    throw new InvalidArgumentError(
      'Expected PROTOCOL:ADDRESS:PORT, such as tcp:192.0.2.1:80, or mark:NUMBER.',
    );
  return { protocol: match[1] as Protocol, ...parseEndpointArgument(match[2]!) };
}

/** Largest number of a group; the next one means none (chown(2)). */
const MAX_GROUP_ID = 2 ** 32 - 2;

/**
 * Returns the number of a group that is given by name or number. Throws commander's error when it is not
 * found.
 */
export function socketGroup(text: string): number {
  if (/^\d+$/.test(text)) {
    if (Number(text) <= MAX_GROUP_ID) return Number(text);
    throw new InvalidArgumentError(`Expected at most ${MAX_GROUP_ID}.`);
  }
  // getent queries all group databases of the host, not only /etc/group.
  const { stdout } = spawnSync('getent', ['group', '--', text], { encoding: 'utf8' });
  const number = /^[^:]*:[^:]*:(\d+):/.exec(stdout ?? '')?.[1];
  if (number === undefined) throw new InvalidArgumentError('Group not found.');
  return Number(number);
}
