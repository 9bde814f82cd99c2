/** Runs the load generators and returns their results: wrk, iperf3, and a generator of datagrams. */
import { setTimeout as pause } from 'node:timers/promises';
import type { LabHost } from '../../test/support/lab-host.ts';
import { built } from '../../test/support/project.ts';

/** Resolves with the requests per second, each over a new connection. */
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

/** Number of retries if a server is busy, and time before each, ms. */
const MAX_BUSY_RETRIES = 10;
const BUSY_PAUSE_MS = 500;

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
  // The server may not have noticed yet that the previous test has ended.
  for (let i = 0; i < MAX_BUSY_RETRIES && /busy/.test(result.error ?? ''); i++) {
    await pause(BUSY_PAUSE_MS);
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

/** Resolves with the Mbit/s of one TCP connection; `down`: from the server to the client. */
export async function stream(client: LabHost, to: Endpoint, down: boolean, seconds: number): Promise<number> {
  const end = await iperf(client, to, ['-t', String(seconds), ...(down ? ['-R'] : [])]);
  return (end.sum_received?.bits_per_second ?? 0) / 1e6;
}

/** Datagrams per second of the first attempt, the factor of the next one, and the maximum. */
const FIRST_RATE = 10_000;
const RATE_STEP = 1.25;
const MAX_RATE = 1_000_000;
/** Attempts at one rate: other load may have interfered. */
const ATTEMPTS = 3;

/** Returns nftables rules that count datagrams before the sockets, so that no program limits the rate. */
export const datagramCounter = (first: number, last: number): string => `table ip bench {
  counter arrived {}
  chain input {
    type filter hook input priority 0;
    udp dport ${first}-${last} counter name arrived drop
  }
}
`;

/** Resolves with the count, and resets it. */
async function arrived(server: LabHost): Promise<number> {
  const said = await server.exec('nft reset counter ip bench arrived');
  return Number(/packets (\d+)/.exec(said)?.[1]);
}

/** Resolves with the datagrams of 64 bytes per second, counted at the receiver, of the fastest attempt without loss. */
export async function datagrams(
  client: LabHost,
  server: LabHost,
  to: Endpoint,
  seconds: number,
): Promise<number> {
  let best = 0;
  for (let rate = FIRST_RATE; rate < MAX_RATE; rate *= RATE_STEP) {
    let reached: number | undefined;
    for (let i = 0; i < ATTEMPTS && reached === undefined; i++)
      reached = await attempt(client, server, to, rate, seconds);
    if (reached === undefined) break;
    const more = reached > best * 1.05;
    best = Math.max(best, reached);
    // The generator has reached its limit.
    if (!more) break;
  }
  return best;
}

/** Resolves with the rate; undefined: datagrams were lost. */
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
  // Waits until no more datagrams arrive.
  for (let more = await arrived(server); more > 0; more = await arrived(server)) count += more;
  return count === Number(sent) && count > 0 ? (count / Number(took)) * 1000 : undefined;
}
