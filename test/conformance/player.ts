/** Plays a recording of the kernel against the director, and tells every step whose answer is another one. */

import type { MarkRule } from '../../src/model/command.ts';
import { LvsError } from '../../src/model/errors.ts';
import { DEFAULT_SETTINGS, type SettingName } from '../../src/model/settings.ts';
import type { Golden, GoldenStep } from '../support/golden.ts';
import { pickOf } from './arrival.ts';
import { commandLine, procText } from './command-line.ts';
import { comparePackets, comparePick, comparePicks, compareText, type Difference } from './compare.ts';
import { compareSync } from './compare-sync.ts';
import { type Failure, fittingPhase } from './phase.ts';
import { WireEnds } from './wire-ends.ts';
import { integer, parseWords } from './words.ts';
import { ESTIMATOR_PERIOD, World } from './world.ts';

/** ms of the director's clock at a recording's begin. */
const START = 4000;

/** s: a sleep of this length may end the timers of templates. */
const LONG_WAIT_S = 30;
const DEFAULT_GROUP = '224.0.0.81';
const DEFAULT_SYNC_PORT = 8848;

/** The share of an ipvsadm step that is over when the program has started and asks the kernel. */
const START_UP = 0.8;

/**
 * Every failure; `stopAtFirst` leaves it at one. Where counters of the estimator differ, the recording is played with
 * other phases of its ticks too: it agrees when one phase explains all of it.
 */
export const play = (golden: Golden, stopAtFirst = true): Promise<Failure[]> =>
  fittingPhase(ESTIMATOR_PERIOD, (phase) => playWith(golden, phase, stopAtFirst));

async function playWith(golden: Golden, phase: number, stopAtFirst: boolean): Promise<Failure[]> {
  const player = new Player(golden, phase);
  const failures: Failure[] = [];
  for (const step of golden.steps) {
    let what: Difference;
    try {
      what = await player.step(step);
    } catch (error) {
      what = told(error);
    }
    if (what === undefined) continue;
    failures.push({ step: step.i, text: step.step, what });
    if (stopAtFirst) return failures;
  }
  const what = player.syncDifference();
  if (what !== undefined)
    failures.push({ step: golden.steps.length, text: 'messages of the sync daemon', what });
  return failures;
}

/** The problem of a step as one word; for an unexpected error, also its place. */
function told(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (Object.getPrototypeOf(error) === Error.prototype) return error.message;
  return (error.stack ?? error.message).split('\n').slice(0, 4).join(' ');
}

class Player {
  readonly #world: World;
  /** The second director of recordings with a network for sync daemons. */
  readonly #second: World | undefined;
  readonly #ends: WireEnds;
  readonly #marks: MarkRule[] = [];
  /** True once connections are dropped at random: listings then agree in how many there are only. */
  #dropsEntries = false;

  /** True once messages go by several ports: which one a connection has is arbitrary. */
  #usesPorts = false;

  readonly #golden: Golden;
  readonly #steps: readonly GoldenStep[];

  constructor(golden: Golden, phase: number) {
    this.#golden = golden;
    this.#steps = golden.steps;
    const { topology = {} } = golden;
    this.#world = new World(topology, START, ESTIMATOR_PERIOD - phase);
    if (topology.sync) {
      this.#second = new World({ vips: [], vips6: [], localnets: [] }, START, ESTIMATOR_PERIOD - phase);
      this.#second.syncPeer = this.#world;
      this.#world.syncPeer = this.#second;
    }
    this.#ends = new WireEnds((_from, octets) => this.#world.receive(octets));
  }

  /** Compares the messages that the sync daemon sent so far with all that were recorded. */
  syncDifference(): Difference {
    const { sync = [] } = this.#golden;
    // Timers of templates are coarse in the kernel: those of a long wait come in any order and together.
    const isCoarse = this.#steps.some(
      ({ step }) => Number(/^sleep (\d+)/.exec(step)?.[1] ?? 0) >= LONG_WAIT_S,
    );
    return compareSync(sync, this.#world.syncMessages, isCoarse || this.#usesPorts);
  }

  async step(step: GoldenStep): Promise<Difference> {
    this.#world.advance(START + step.t * 1000);
    const blank = step.step.indexOf(' ');
    const word = blank < 0 ? step.step : step.step.slice(0, blank);
    const rest = blank < 0 ? '' : step.step.slice(blank + 1);
    switch (word) {
      case 'note':
        return undefined;
      case 'ipvsadm':
      case 'conns':
        // The recorded program had to start before it asked.
        this.#world.advance(START + (step.t + (this.#endOf(step) - step.t) * START_UP) * 1000);
        return this.#ipvsadm(word === 'conns' ? 'ipvsadm -Lnc' : step.step, step);
      case 'sysctl':
        return this.#sysctl(rest, step);
      case 'cat':
        return this.#cat(rest.trim(), step);
      case 'sleep':
        return comparePackets(step.packets ?? [], this.#world.advance(this.#world.now + Number(rest) * 1000));
      case 'sh':
        return this.#shell(rest);
      case 'syncmsg':
        return this.#syncMessage(rest);
      case 'in':
        return this.#inSecond(rest, step);
      case 'mark':
        return this.#mark(rest);
      default:
        return this.#packets(word, rest, step);
    }
  }

  #packets(word: string, rest: string, step: GoldenStep): Difference {
    const words = parseWords(rest);
    const bulk = this.#ends.bulk(word, words.options, (flow, count) => {
      // The recorded flows filled the time until the next step.
      this.#world.advance(START + (step.t + ((this.#endOf(step) - step.t) * flow) / count) * 1000);
    });
    if (bulk) {
      const { pick_counts: expected = {} } = step;
      const counts = Object.entries(expected).find(([pick, count]) => bulk.pick_counts?.[pick] !== count);
      return (
        comparePicks(step.picks ?? [], bulk.picks) ??
        (counts && `expected ${counts[0]} ${counts[1]} times got ${bulk.pick_counts?.[counts[0]] ?? 0}`)
      );
    }
    const arrivals = this.#ends.step(word, words, step.packets !== undefined);
    if (!arrivals) return `no such kind of step: ${word}`;
    // Linux 6.1 makes nothing of ICMPv6 errors about its tunnels' packets: not to be copied.
    const isKernelFault = word === 'ricmp' && words.positions[1]?.startsWith('[') && !step.packets;
    if (isKernelFault && pickOf(arrivals).startsWith('icmp:')) return undefined;
    return comparePackets(step.packets ?? [], arrivals) ?? comparePick(step.pick ?? 'none', pickOf(arrivals));
  }

  /** s: when the step was over. */
  #endOf(step: GoldenStep): number {
    return this.#steps.find(({ i }) => i === step.i + 1)?.t ?? step.t;
  }

  /** Plays `bak COMMAND`: a step on the second director. */
  async #inSecond(rest: string, step: GoldenStep): Promise<Difference> {
    const command = rest.replace(/^bak /, '');
    const second = this.#second;
    if (second === undefined || command === rest) return 'there is no such director';
    this.#world.advance(START + (step.t + (this.#endOf(step) - step.t) * START_UP) * 1000);
    second.advance(this.#world.now);
    if (command.startsWith('cat ')) return this.#cat(command.slice(4).trim(), step, second);
    return this.#ipvsadm(command, step, second);
  }

  async #ipvsadm(line: string, step: GoldenStep, world = this.#world): Promise<Difference> {
    const got = await commandLine(line, step.stdin ?? '', world.director, world.now);
    const { stdout = '', stderr = '', rc = 0 } = step;
    if (got.rc !== rc) return `expected rc ${rc} got ${got.rc} ${got.stderr}`;
    if (got.stderr !== stderr) return `stderr: ${compareText(stderr, got.stderr)}`;
    if (!this.#dropsEntries) return compareText(stdout, got.stdout, /--nosort/.test(line));
    const lines = (text: string) => text.split('\n').length;
    return lines(stdout) === lines(got.stdout)
      ? undefined
      : `expected ${lines(stdout)} lines got ${lines(got.stdout)}`;
  }

  #syncMessage(rest: string): Difference {
    this.#ends.skipIdentification();
    const { positions, options } = parseWords(rest);
    const { group = DEFAULT_GROUP, port } = options;
    this.#world.receiveSync(group, integer(port, DEFAULT_SYNC_PORT), Buffer.from(positions[0] ?? '', 'hex'));
    return undefined;
  }

  #sysctl(assignment: string, { rc = 0 }: GoldenStep): Difference {
    const [key = '', value = ''] = assignment.split('=');
    if (/ip6?frag_time$/.test(key.trim())) this.#world.keepFragments();
    const name = /^net[./]ipv4[./]vs[./](\w+)$/.exec(key.trim())?.[1];
    if (name === undefined) return undefined;
    // Only whether there was such a file is recorded: the recorder did not learn which values the kernel refused.
    if (rc !== 0) return undefined;
    if (name === 'sync_ports' && Number(value) > 1) this.#usesPorts = true;
    if (name === 'sync_threshold') return this.#syncThreshold(value);
    if (!(name in DEFAULT_SETTINGS)) return `there is no setting ${name}`;
    if (name === 'drop_entry') this.#dropsEntries = Number(value) > 0;
    try {
      this.#world.director.apply(
        { op: 'set', name: name as SettingName, value: integer(value.trim() || undefined, Number.NaN) },
        this.#world.now,
      );
    } catch (error) {
      if (!(error instanceof LvsError)) throw error;
    }
    return undefined;
  }

  /** Sets both numbers of sync_threshold, or neither. */
  #syncThreshold(value: string): Difference {
    const { settings } = this.#world.director.context;
    const numbers = value.trim().split(/\s+/).map(Number);
    const [threshold = settings.sync_threshold, period = settings.sync_period] = numbers;
    // The file of the kernel refuses a threshold that no count of packets reaches.
    if (threshold < 0 || period < 0 || (period > 0 && threshold >= period)) return undefined;
    const { director, now } = this.#world;
    director.apply({ op: 'set', name: 'sync_threshold', value: threshold }, now);
    director.apply({ op: 'set', name: 'sync_period', value: period }, now);
    return undefined;
  }

  async #cat(path: string, step: GoldenStep, world = this.#world): Promise<Difference> {
    if (path.endsWith('ip_vs_stats_percpu')) return undefined;
    const got = await procText(path, world.director, world.now);
    // The project has settings that the recorded kernel had only with a module.
    if (step.rc && path.startsWith('/proc/sys/')) return undefined;
    if (step.rc) return got === undefined ? undefined : `expected rc ${step.rc} got a file`;
    if (got === undefined) return `there is no ${path}`;
    return compareText(step.stdout ?? '', got, path === '/proc/net/ip_vs');
  }

  /** What changes the host itself; no shell is run. */
  #shell(command: string): Difference {
    const unreachable = /^ip route add (?:unreachable|blackhole|prohibit) (\S+)/.exec(command);
    if (unreachable) this.#world.forbid(unreachable[1]!);
    const listener = /create_server\(\('[^']*',(\d+)\)\)/.exec(command);
    if (listener) this.#world.listen(Number(listener[1]));
    return undefined;
  }

  #mark(rest: string): Difference {
    const { positions, options } = parseWords(rest);
    const { daddr, proto, dport } = options;
    this.#marks.push({
      mark: Number(positions[0]),
      ...(daddr === undefined ? {} : { to: daddr }),
      ...(proto === undefined && dport === undefined ? {} : { protocol: (proto ?? 'tcp') as 'tcp' | 'udp' }),
      ...(dport === undefined ? {} : { port: Number(dport) }),
    });
    this.#world.director.apply({ op: 'set-marks', rules: this.#marks }, this.#world.now);
    return undefined;
  }
}
