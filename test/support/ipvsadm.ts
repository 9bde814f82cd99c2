/** Runs ipvsadm with the API of a director, and with the names of the tests. */

import type { DirectorApi } from '../../src/control/director-api.ts';
import { type Names, servicesOf } from '../../src/ipvsadm/names.ts';
import { runIpvsadm, type Surroundings } from '../../src/ipvsadm/run.ts';
import { directorApi } from './director-apis.ts';

const HOSTS: Readonly<Record<string, string>> = {
  '192.0.2.10': 'vip.example',
  '192.0.2.99': 'a-host-with-a-name-that-is-far-longer-than-any-column-of-the-listing.example',
  '2001:db8::10': 'vip6.example',
};

export const testNames: Names = {
  ...servicesOf('http 80/tcp www\nhttp-alt 8080/tcp\ndomain 53/tcp\ndomain 53/udp # names\n'),
  hostAddress: (name) =>
    Object.entries(HOSTS).find(([address, host]) => host === name && !address.includes(':'))?.[0],
  hostName: (address) => HOSTS[address],
};

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A director, and any number of runs of ipvsadm. */
export class Administered {
  readonly api: DirectorApi;

  constructor(api: DirectorApi = directorApi()) {
    this.api = api;
  }

  /** Words are separated by single blanks. */
  run(line: string, stdin: string | Surroundings['stdin'] = ''): Promise<Ran> {
    return captured({ api: this.api, names: testNames, stdin }, (at) =>
      runIpvsadm(line === '' ? [] : line.split(' '), at),
    );
  }
}

/** What is printed while something runs in these surroundings, and its status. */
export async function captured(
  { stdin, ...rest }: Pick<Surroundings, 'api' | 'names'> & { stdin: string | Surroundings['stdin'] },
  run: (at: Surroundings) => Promise<number>,
): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  const status = await run({
    ...rest,
    stdin: typeof stdin === 'string' ? () => [stdin] : stdin,
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
  });
  return { status, stdout, stderr };
}
