/** Three network namespaces in a row: a generator, a director, and a server that counts and drops. */
import { spawnSync } from 'node:child_process';

/** MAC addresses of the four ends. */
export const LANE_MACS = {
  g0: '02:00:00:00:00:02',
  d0: '02:00:00:00:00:01',
  d1: '02:00:00:00:00:03',
  r1: '02:00:00:00:00:04',
} as const;

export const run = (command: string, ...words: string[]): string => {
  const { status, stdout, stderr } = spawnSync(command, words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${words.join(' ')}: ${stderr}`);
  return stdout;
};

/** g0 - d0 | d1 - r1; the MTU is above that of Ethernet, so that tunnels need no fragments. */
export class LaneNetwork implements Disposable {
  readonly generator: string;
  readonly director: string;
  readonly server: string;

  constructor() {
    const named = (part: string) => `lvs-${process.pid}-${part}`;
    [this.generator, this.director, this.server] = [named('g'), named('d'), named('r')];
    for (const name of this.#names) run('ip', 'netns', 'add', name);
    this.#join(this.generator, 'g0', 'd0', this.director);
    this.#join(this.director, 'd1', 'r1', this.server);
  }

  get #names(): readonly string[] {
    return [this.generator, this.director, this.server];
  }

  #join(one: string, device: keyof typeof LANE_MACS, peer: keyof typeof LANE_MACS, other: string): void {
    const first = ['link', 'add', device, 'address', LANE_MACS[device], 'type', 'veth'];
    run('ip', '-n', one, ...first, 'peer', 'name', peer, 'address', LANE_MACS[peer], 'netns', other);
    for (const [name, end] of [
      [one, device],
      [other, peer],
    ] as const)
      run('ip', '-n', name, 'link', 'set', end, 'mtu', '1600', 'up');
  }

  [Symbol.dispose](): void {
    for (const name of this.#names) spawnSync('ip', ['netns', 'del', name]);
  }
}
