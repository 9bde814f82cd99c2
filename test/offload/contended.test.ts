/** Programs of rr and wrr while another processor advances the same position, interpreted. */
import { describe, expect, test } from 'vitest';
import { requireService } from '../../src/director/administration.ts';
import type { Service } from '../../src/director/service.ts';
import { LOOP, MAP_LOOKUP, TAIL_CALL } from '../../src/ebpf/helper.ts';
import { constants } from '../../src/offload/constants.ts';
import { xdp } from '../../src/offload/hooks.ts';
import { scheduleCode } from '../../src/offload/schedule/program.ts';
import { SCRATCH, SCRATCH_BYTES } from '../../src/offload/scratch.ts';
import { request } from '../support/destinations.ts';
import { Directed } from '../support/directed.ts';
import { Machine } from '../support/ebpf/machine.ts';
import { Memory } from '../support/ebpf/memory.ts';
import { TestMemory } from './shared-table.ts';

const DESCRIPTORS = {
  services: 1,
  lists: 2,
  destinations: 3,
  scratch: 4,
  programs: 5,
  constants: 6,
} as const;
const RECORDS = 1024;

/** A service whose program runs while another processor schedules: once for each attempt, so often. */
class Contended {
  readonly #memory = new TestMemory();
  readonly #directed = new Directed({ maxConnections: 64, memory: this.#memory });
  readonly #service: Service;
  readonly #scheduler: 'rr' | 'wrr';

  constructor(scheduler: 'rr' | 'wrr', weights: readonly number[]) {
    const service = { mark: 1, family: 4 } as const;
    const { director } = this.#directed;
    director.apply({ op: 'add-service', service, options: { scheduler } }, 0);
    for (const [i, weight] of weights.entries()) {
      const destination = { address: `10.1.0.${i + 1}`, port: 80 };
      director.apply({ op: 'add-destination', service, destination, options: { method: 'nat', weight } }, 0);
    }
    this.#scheduler = scheduler;
    this.#service = requireService(director.context, service);
  }

  /** Returns the destination's place in the list that another processor selects. */
  other(): number {
    return this.#service.destinations.indexOf(this.#service.scheduler.schedule(request()) as never);
  }

  /** Returns the place that the program selects, and those that the other processor selected meanwhile. */
  pick(times: number): { readonly place: number; readonly others: readonly number[] } {
    const others: number[] = [];
    const memory = new Memory();
    const entry = new Uint8Array(SCRATCH_BYTES);
    const view = new DataView(entry.buffer);
    view.setUint32(SCRATCH.service, this.#service.index, true);
    const scratch = memory.map('entry', entry).base;
    const values = new Map<number, bigint>(
      (['services', 'lists', 'destinations'] as const).map((name) => {
        const { buffer, offset, bytes } = this.#memory.regions.get(name)!;
        return [DESCRIPTORS[name], memory.map(name, new Uint8Array(buffer, offset, bytes)).base];
      }),
    );
    values.set(DESCRIPTORS.constants, memory.map('constants', constants()).base);
    const code = scheduleCode(this.#scheduler, { hook: xdp, arrays: { ...DESCRIPTORS, records: RECORDS } });
    new Machine(code, memory, {
      helpers: {
        [MAP_LOOKUP]: () => scratch,
        [TAIL_CALL]: () => 0n,
        [LOOP]: (machine, turns, visit, state) => {
          let turn = 0n;
          while (turn < turns) if (machine.call(visit, turn++, state) !== 0) break;
          if (others.length < times) others.push(this.other());
          return turn;
        },
      },
      maps: new Map(Object.values(DESCRIPTORS).map((fd) => [fd, 0n])),
      values,
      context: () => 0n,
    }).run();
    const number = view.getUint32(SCRATCH.destination, true);
    return { place: this.#service.destinations.findIndex(({ index }) => index === number), others };
  }
}

describe('a program that loses the position to another processor', () => {
  test.each([1, 2, 3])('selects the next destination after %i attempts: rr', (times) => {
    const contended = new Contended('rr', [1, 1, 1, 1, 1]);
    const { place, others } = contended.pick(times);
    expect([...others, place]).toEqual([0, 1, 2, 3].slice(0, times + 1));
    expect(contended.other()).toBe(times + 1);
  });

  test('selects without a turn after four attempts: rr', () => {
    const contended = new Contended('rr', [1, 1, 1, 1, 1, 1]);
    const { place, others } = contended.pick(4);
    expect([others, place]).toEqual([[0, 1, 2, 3], 3]);
    expect(contended.other()).toBe(4);
  });

  test('begins the next round where the other processor ended the last one: wrr', () => {
    // Newest first: weights 3 and 1. The service begins at level 1; a round has the turns 0, 0, 0, 1.
    const contended = new Contended('wrr', [1, 3]);
    expect([contended.other(), contended.pick(1)]).toEqual([0, { place: 0, others: [1] }]);
    expect([contended.other(), contended.other(), contended.other()]).toEqual([0, 0, 1]);
  });
});
