/** Both directors of two-directors.ts, which do the same. */
import { Alone, expectSame, Offloaded } from './two-directors.ts';

export class Pair {
  readonly alone = new Alone();
  readonly offloaded: Offloaded;

  constructor(hook: 'xdp' | 'tc') {
    this.offloaded = new Offloaded(hook);
  }

  /** Does the same with both, and compares all that can be seen. */
  both(work: (one: Alone) => unknown): void {
    for (const one of [this.alone, this.offloaded]) work(one);
    expectSame(this.alone, this.offloaded);
  }

  serve(name: string, servers: readonly string[], options: Parameters<Alone['serve']>[2] = {}): void {
    this.both((one) => {
      one.serve(name, servers, options);
      one.settle();
    });
  }

  /** Returns how many of the packets programs forwarded; both directors have received all of them. */
  receive(...lines: readonly string[]): number {
    const before = this.offloaded.forwarded;
    for (const line of lines) this.both((one) => one.receive(line));
    return this.offloaded.forwarded - before;
  }

  get templated(): number {
    return this.offloaded.director.snapshot(this.offloaded.now).counts.templated;
  }
}
