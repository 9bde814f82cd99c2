/** A service or an endpoint as it is given on a command line: tcp:192.0.2.1:80, udp:[2001:db8::1]:53, mark:7, mark6:7. */
import { InvalidArgumentError } from 'commander';
import type { Protocol, ServiceAddress } from '../../model/service.ts';
import { formatAddress, parseAddress } from '../../wire/address.ts';

export function parseEndpointArgument(text: string): { readonly address: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  const address = match && parseAddress(match[1] ?? match[2]!);
  const port = Number(match?.[3]);
  if (!address || port > 65_535)
    throw new InvalidArgumentError('give ADDRESS:PORT, such as 192.0.2.1:80 or [2001:db8::1]:80');
  return { address: formatAddress(address), port };
}

export function parseServiceArgument(text: string): ServiceAddress {
  const mark = /^mark(6?):(\d{1,10})$/.exec(text);
  if (mark) return { mark: Number(mark[2]), family: mark[1] === '6' ? 6 : 4 };
  const match = /^(tcp|udp|sctp):(.+)$/.exec(text);
  if (!match)
    throw new InvalidArgumentError('give PROTOCOL:ADDRESS:PORT, such as tcp:192.0.2.1:80, or mark:NUMBER');
  return { protocol: match[1] as Protocol, ...parseEndpointArgument(match[2]!) };
}
