/** Measures ipvsadm as a process: its start, ten thousand rules, and a listing of a million connections. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { built } from '../test/support/project.ts';
import type { Effort, Figure } from './measure.ts';

/** Destinations of each restored service; 100 rules with that of the service. */
const DESTINATIONS = 99;
const IPVSADM = built('src/cli/ipvsadm');

interface Ran {
  /** Time from the start of the process to its exit, ms. */
  readonly time: number;
  readonly lines: number;
  /** Peak memory, bytes, sampled whenever output is read. */
  readonly peak: number;
}

export async function ipvsadm(effort: Effort): Promise<Figure[]> {
  const connections = effort.quick ? 20_000 : 1_000_000;
  const folder = mkdtempSync(join(tmpdir(), 'lvs-bench-'));
  const socket = join(folder, 's');
  try {
    return [
      ...(await starts(effort, socket)),
      await restoring(effort, socket),
      ...(await listing(socket, connections)),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Alternates both programs, so that other load affects both. */
async function starts(effort: Effort, socket: string): Promise<Figure[]> {
  await using _director = await BenchDirector.start(socket, 0);
  const times = { node: [] as number[], ipvsadm: [] as number[] };
  for (let round = 0; round < (effort.quick ? 3 : 15); round++) {
    times.node.push((await run([process.execPath, '-e', '0'], socket)).time);
    times.ipvsadm.push((await run([...IPVSADM, '-Ln'], socket)).time);
  }
  return [
    figure('node -e 0, the baseline', times.node),
    figure('cold start, -Ln of one service', times.ipvsadm),
  ];
}

async function restoring(effort: Effort, socket: string): Promise<Figure> {
  const services = effort.quick ? 10 : 100;
  let rules = '';
  for (let s = 0; s < services; s++) {
    rules += `-A -t 198.51.100.${s + 1}:80 -s wlc\n`;
    for (let d = 0; d < DESTINATIONS; d++)
      rules += `-a -t 198.51.100.${s + 1}:80 -r 10.0.${s}.${d + 1}:80 -m -w 1\n`;
  }
  const times: number[] = [];
  for (let round = 0; round < (effort.quick ? 1 : 3); round++) {
    await using _director = await BenchDirector.start(socket, 0);
    times.push((await run([...IPVSADM, '-R'], socket, rules)).time);
    const { lines } = await run([...IPVSADM, '-S', '-n'], socket);
    // The benchmark's initial service has five rules.
    if (lines !== services * (DESTINATIONS + 1) + 5)
      throw new Error(`${lines} rules were restored: expected ${services * (DESTINATIONS + 1) + 5}`);
  }
  return figure(`-R of ${services * (DESTINATIONS + 1)} lines`, times);
}

async function listing(socket: string, connections: number): Promise<Figure[]> {
  await using director = await BenchDirector.start(socket, connections);
  const { time, lines, peak } = await run([...IPVSADM, '-Lnc'], socket);
  if (lines !== connections + 2) throw new Error(`${lines} lines of ${connections} connections`);
  const figures = [
    figure('-Lnc', [time]),
    { name: 'ipvsadm: -Lnc, peak memory of ipvsadm', value: peak, unit: 'bytes' as const },
    {
      name: 'ipvsadm: -Lnc, growth of the peak memory of the director',
      value: (await director.peak()) - director.before,
      unit: 'bytes' as const,
    },
  ];
  return figures.map((each) => ({ ...each, connections }));
}

function figure(what: string, times: number[]): Figure {
  times.sort((a, b) => a - b);
  return { name: `ipvsadm: ${what}`, value: times[times.length >> 1]!, best: times[0]!, unit: 'ms' };
}

/** A director in a separate process. */
class BenchDirector implements AsyncDisposable {
  /** Peak memory before the first request, bytes. */
  readonly before: number;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, before: number) {
    this.#child = child;
    this.#lines = lines;
    this.before = before;
  }

  static async start(socket: string, connections: number): Promise<BenchDirector> {
    const [file, ...words] = built('bench/ipvsadm-director');
    const child = spawn(file!, [...words, socket, String(connections)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return new BenchDirector(child, lines, Number((await lines.next()).value));
  }

  async peak(): Promise<number> {
    this.#child.stdin!.write('\n');
    return Number((await this.#lines.next()).value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stdin!.end();
    await ended;
  }
}

function run(argv: readonly string[], socket: string, input = ''): Promise<Ran> {
  const begin = performance.now();
  const [file, ...words] = argv;
  const child = spawn(file!, words, {
    env: { ...process.env, LVS_SOCKET: socket },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let lines = 0;
  let peak = 0;
  child.stdout.on('data', (octets: Buffer) => {
    peak = Math.max(peak, peakOf(child.pid));
    for (let at = octets.indexOf(10); at >= 0; at = octets.indexOf(10, at + 1)) lines++;
  });
  child.stdin.end(input);
  return new Promise((resolve, reject) =>
    child.once('close', (status) => {
      if (status === 0) resolve({ time: performance.now() - begin, lines, peak });
      else reject(new Error(`${argv.join(' ')}: exit status ${status}`));
    }),
  );
}

/** Returns the peak memory of a process, bytes; 0: it has exited. */
function peakOf(pid: number | undefined): number {
  try {
    return (
      Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) * 1024
    );
  } catch {
    return 0;
  }
}
