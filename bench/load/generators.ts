/** The programs that make load, and what they measured: wrk, iperf3, and a generator of datagrams. */
import { setTimeout as pause } from 'node:timers/promises';
import type { LabHost } from '../../test/support/lab-host.ts';
import { built } from '../../test/support/project.ts';

/** Requests a second over connections of one request each. */
export async function requests(client: LabHost, to: string, seconds: number): Promise<number> {
  const words = [
    'wrk',
    '-t',
    '1',
    '-c',
    '32',
    '-d',
    `${seconds}s`,
    '-H',
    'Connection: close',
    `http://${to}/`,
  ];
  const said = await client.exec(words);
  const rate = /^Requests\/sec: +([\d.]+)$/m.exec(said)?.[1];
  const errors = /^ *(?:Socket errors|Non-2xx).*$/m.exec(said)?.[0];
  if (rate === undefined || Number(rate) === 0) throw new Error(`wrk to ${to}: ${said}`);
  if (errors !== undefined && !/connect 0, read \d+, write 0, timeout 0/.test(errors))
    throw new Error(`wrk to ${to}: ${errors.trim()}`);
  return Number(rate);
}

/** How often, and after how many ms, a server that is busy is asked again. */
const BUSY = 10;
const BUSY_PAUSE = 500;

interface IperfEnd {
  readonly error?: string;
  readonly end?: {
    readonly sum_received?: { readonly bits_per_second: number };
  };
}

async function iperf(
  client: LabHost,
  to: Endpoint,
  words: readonly string[],
): Promise<NonNullable<IperfEnd['end']>> {
  const command = ['iperf3', '-J', '-c', to.address, '-p', String(to.port), ...words];
  const once = async () => {
    const { stdout, stderr } = await client.run(command, { limit: 30_000 });
    return { result: JSON.parse(stdout || '{}') as IperfEnd, stderr };
  };
  let { result, stderr } = await once();
  // The server may not have heard yet that the one before is over.
  for (let i = 0; i < BUSY && /busy/.test(result.error ?? ''); i++) {
    await pause(BUSY_PAUSE);
    ({ result, stderr } = await once());
  }
  if (result.error !== undefined || !result.end)
    throw new Error(`${command.join(' ')}: ${result.error ?? stderr}`);
  return result.end;
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Mbit/s of one TCP connection; `down`: from the server to the client. */
export async function stream(client: LabHost, to: Endpoint, down: boolean, seconds: number): Promise<number> {
  const end = await iperf(client, to, ['-t', String(seconds), ...(down ? ['-R'] : [])]);
  return (end.sum_received?.bits_per_second ?? 0) / 1e6;
}

/** Datagrams a second of the first attempt, and by what the next one is more. */
const FIRST = 10_000;
const STEP = 1.25;
const MOST = 1_000_000;
/** Attempts at one rate: another program on the machine may have had the processor. */
const ATTEMPTS = 3;

/** What counts datagrams at the receiver: in front of the sockets, so that no program's pace is measured. */
export const datagramCounter = (first: number, last: number): string => `table ip bench {
  counter arrived {}
  chain input {
    type filter hook input priority 0;
    udp dport ${first}-${last} counter name arrived drop
  }
}
`;

/** Takes the count, and begins a new one. */
async function arrived(server: LabHost): Promise<number> {
  const said = await server.exec('nft reset counter ip bench arrived');
  return Number(/packets (\d+)/.exec(said)?.[1]);
}

/** Datagrams of 64 bytes a second, counted at the receiver, of the fastest attempt that lost none. */
export async function datagrams(
  client: LabHost,
  server: LabHost,
  to: Endpoint,
  seconds: number,
): Promise<number> {
  let best = 0;
  for (let rate = FIRST; rate < MOST; rate *= STEP) {
    let reached: number | undefined;
    for (let i = 0; i < ATTEMPTS && reached === undefined; i++)
      reached = await attempt(client, server, to, rate, seconds);
    if (reached === undefined) break;
    const more = reached > best * 1.05;
    best = Math.max(best, reached);
    // The generator itself has no more to give.
    if (!more) break;
  }
  return best;
}

/** Returns the rate reached; undefined: datagrams were lost. */
async function attempt(
  client: LabHost,
  server: LabHost,
  to: Endpoint,
  rate: number,
  seconds: number,
): Promise<number | undefined> {
  await arrived(server);
  const options = ['--from', client.address, '--to', to.address, '--port', String(to.port)];
  const pace = ['--rate', String(Math.round(rate)), '--seconds', String(seconds)];
  const said = await client.exec([...built('bench/load/udp-generator'), ...options, ...pace]);
  const [, sent, took] = /^(\d+) in ([\d.]+) ms$/.exec(said) ?? [];
  let count = 0;
  // What is on its way still arrives: until there is nothing new.
  for (let more = await arrived(server); more > 0; more = await arrived(server)) count += more;
  return count === Number(sent) && count > 0 ? (count / Number(took)) * 1000 : undefined;
}
