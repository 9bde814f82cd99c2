/** Where a server is to listen, as it is given on a command line. */
import { InvalidArgumentError } from 'commander';

/** HOST:PORT, [v6]:PORT or :PORT. */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535)
    throw new InvalidArgumentError('give HOST:PORT, such as 127.0.0.1:9100 or [::1]:9100');
  return { host: match[1] ?? match[2] ?? '', port };
}
