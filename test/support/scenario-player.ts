/** Plays a scenario: what is typed goes to the real ipvsadm code, packets to a director, and time passes as in a replay. */

import { compile } from '../../src/config/compile.ts';
import type { Document } from '../../src/config/document.ts';
import { parseLvsConf } from '../../src/config/lvs-conf.ts';
import { parseYaml } from '../../src/config/yaml/parse-yaml.ts';
import { Director } from '../../src/director/director.ts';
import { LvsError } from '../../src/model/errors.ts';
import { DEFAULT_SETTINGS, type SettingName } from '../../src/model/settings.ts';
import type { Verdict } from '../../src/model/verdict.ts';
import { reloadCommands, runningOf } from '../../src/runtime/configuration/reload.ts';
import { localApi } from '../../src/runtime/local-director.ts';
import { seeded } from '../../src/runtime/replay.ts';
import { schedulers } from '../../src/schedulers/index.ts';
import { formatAddress, isV4, parseAddress } from '../../src/wire/address.ts';
import { packetOfLine } from '../../src/wire/packet-line.ts';
import { printFrame } from '../../src/wire/print.ts';
import { Administered } from './ipvsadm.ts';
import { framed } from './packets.ts';
import type { Statement } from './scenario-file.ts';
import { packetsOf } from './scenario-flows.ts';
import { difference, type OutcomeLine, plainly } from './scenario-outcome.ts';

/** The addresses of every scenario's director, documentation's and private ones (RFC 5737, RFC 3849, RFC 1918, RFC 4193). */
export const VIPS = ['192.0.2.80', '192.0.2.81', '2001:db8::80'];
export const OWN = '10.0.0.254';
export const OWN6 = 'fd00::fe';
/** Of the random source. */
export const SEED = 1;
/** Octets. */
const MTU = 1500;
/** ms between two ticks of the director's timers, as in a replay. */
const TICK = 100;
/** ms of the units of time. */
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const LOCAL: ReadonlySet<string> = new Set([...VIPS, OWN, OWN6]);
/** Names in configurations. */
const PORTS: Readonly<Record<string, number>> = { telnet: 23, www: 80 };
const HOSTS: Readonly<Record<string, string>> = { rs1: '192.168.0.3', rs2: '192.168.0.4' };
/** First lines of a listing of connections, which come in no order. */
const HEAD = 2;

/** A packet that the director received, for a pcap file. */
export interface ReceivedPacket {
  /** ms since the first. */
  readonly at: number;
  readonly octets: Uint8Array;
}

export class ScenarioPlayer {
  readonly received: ReceivedPacket[] = [];
  readonly sent: Uint8Array[] = [];
  /** What the configuration block said, if there was one. */
  document: Document | undefined;
  readonly #director: Director;
  readonly #shell: Administered;
  #outcome: OutcomeLine[] = [];
  /** Next hops of the packets that one flow brought. */
  #nextHops: string[] = [];
  #now = 0;

  constructor() {
    const route = (v4: boolean) => ({ mtu: MTU, source: parseAddress(v4 ? OWN : OWN6)! });
    this.#director = new Director({
      random: seeded(SEED),
      host: {
        transmit: (frame, nextHop) => {
          const hop = formatAddress(nextHop);
          this.sent.push(frame.copy());
          this.#nextHops.push(hop);
          const line = (detail: boolean) => `out ${printFrame(frame, { detail })} via ${hop}`;
          this.#outcome.push({ short: line(false), full: line(true) });
          return true;
        },
        route: (to) => route(isV4(to)),
        isLocal: (address) => LOCAL.has(formatAddress(address)),
      },
    });
    this.#shell = new Administered(localApi(this.#director, { now: () => this.#now, mtu: () => MTU }));
  }

  /** Does what a statement says, and returns what differs from its outcome: `LINE: how`. */
  async check(statement: Statement): Promise<string | undefined> {
    const got = await this.perform(statement);
    const { outcome, line } = statement;
    if (/^ipvsadm -L\w*c/.test(statement.text))
      return difference(
        sorted(outcome, (each) => each.text),
        sorted(got, (each) => each.full),
        line,
      );
    const [first] = outcome;
    if (!first || !statement.text.startsWith('flows ')) return difference(outcome, got, line);
    const words = outcome.map(({ text }) => text.replace(/^to /, '')).join(' ');
    const isShare = first.text.startsWith('share ');
    return difference(
      [{ line: first.line, text: isShare ? first.text : `to ${words}` }],
      isShare ? [shareOf(got)] : got,
      line,
    );
  }

  /** Does what a statement says, and returns what came of it. */
  async perform({ kind, text }: Statement): Promise<OutcomeLine[]> {
    this.#outcome = [];
    switch (kind) {
      case 'ipvsadm':
        return text.startsWith('sysctl') ? this.#sysctl(text) : await this.#ipvsadm(text);
      case 'packets':
        return this.#packets(text);
      case 'lvs.yaml':
      case 'lvs.conf':
        return await this.#configure(kind, text);
      default:
        return kind satisfies never;
    }
  }

  async #ipvsadm(text: string): Promise<OutcomeLine[]> {
    const { stdout, stderr } = await this.#shell.run(text.trim().split(/\s+/).slice(1).join(' '));
    return (stdout + stderr)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => ({ ...plainly(line), isListing: true }));
  }

  #sysctl(text: string): OutcomeLine[] {
    const match = /^sysctl -w net\.ipv4\.vs\.(\w+)=(\d+)$/.exec(text);
    if (!match || !(match[1]! in DEFAULT_SETTINGS)) throw new Error(`no such setting: ${text}`);
    this.#director.apply({ op: 'set', name: match[1] as SettingName, value: Number(match[2]) }, this.#now);
    return this.#outcome;
  }

  /** The first configuration is what the director begins with; each further one is a reload. */
  async #configure(kind: 'lvs.yaml' | 'lvs.conf', text: string): Promise<OutcomeLine[]> {
    const names = {
      port: (name: string) => PORTS[name],
      host: async (name: string) => HOSTS[name] ?? name,
    };
    const parse = kind === 'lvs.yaml' ? parseYaml : parseLvsConf;
    const { document, problems } = await parse(text, kind, names, Object.keys(schedulers));
    const mistake = problems.find(({ severity }) => severity === 'error');
    if (mistake) throw new LvsError('CONFIG', mistake.message);
    const before = this.document;
    this.document = document;
    const snapshot = this.#director.snapshot(this.#now);
    const commands = before
      ? reloadCommands(runningOf(snapshot), document, { commands: compile(before), draining: [] }).commands
      : compile(document);
    for (const command of commands) this.#director.apply(command, this.#now);
    return this.#outcome;
  }

  #packets(text: string): OutcomeLine[] {
    const [, word, rest] = /^(\w+) +(.*)$/.exec(text)!;
    if (word === 'wait') this.#wait(rest!);
    else if (word === 'flows')
      return [
        plainly(
          `to ${packetsOf(rest!)
            .map((line) => this.#nextHop(line))
            .join(' ')}`,
        ),
      ];
    else {
      const verdict = this.#receive(rest!);
      if (verdict !== 'forwarded' && verdict !== 'answered')
        this.#outcome.push(
          plainly(verdict === 'pass' || verdict === 'waiting' ? verdict : `drop ${verdict}`),
        );
    }
    return this.#outcome;
  }

  /** Where the packet of a line went: a next hop, or what the director did instead. */
  #nextHop(line: string): string {
    this.#nextHops = [];
    const verdict = this.#receive(line);
    return verdict === 'forwarded' ? this.#nextHops[0]! : verdict;
  }

  #receive(line: string): Verdict {
    const octets = packetOfLine(line);
    this.received.push({ at: this.#now, octets });
    return this.#director.handle(framed(octets), this.#now);
  }

  #wait(time: string): void {
    const match = /^(\d+)(ms|s|m|h)$/.exec(time);
    if (!match) throw new Error(`how long? ${time}`);
    const until = this.#now + Number(match[1]) * UNITS[match[2]!]!;
    for (; this.#now + TICK <= until; this.#now += TICK) this.#director.expire(this.#now + TICK);
    this.#now = until;
  }
}

const sorted = <T>(lines: readonly T[], text: (line: T) => string): T[] => [
  ...lines.slice(0, HEAD),
  ...lines.slice(HEAD).sort((a, b) => (text(a) < text(b) ? -1 : 1)),
];

/** `share 10.0.0.2=30 10.0.0.3=10`, in the order of the names. */
function shareOf([line]: readonly OutcomeLine[]): OutcomeLine {
  const counts = new Map<string, number>();
  for (const hop of line!.short.split(' ').slice(1)) counts.set(hop, (counts.get(hop) ?? 0) + 1);
  return plainly(
    `share ${[...counts]
      .sort()
      .map(([hop, count]) => `${hop}=${count}`)
      .join(' ')}`,
  );
}
