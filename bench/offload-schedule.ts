/** ns that the program of a scheduler takes to select a destination, under BPF_PROG_TEST_RUN at XDP. */
import { requireService } from '../src/director/administration.ts';
import type { Bpf } from '../src/ebpf/bpf.ts';
import { KernelMemory } from '../src/offload/kernel-memory.ts';
import type { ProgrammedScheduler } from '../src/offload/schedule/program.ts';
import { SCHEDULERS, ScheduledInKernel } from '../test/offload/scheduled.ts';
import { request } from '../test/support/destinations.ts';
import { Directed } from '../test/support/directed.ts';
import { median } from './offload-cost.ts';

/** Numbers of destinations of the service. */
export const LIST_SIZES = [1, 16, 64, 256, 1024] as const;
const REPEAT = 20_000;

/** Yields the medians of the rounds for each scheduler, by number of destinations. */
export function* selections(
  bpf: Bpf,
  rounds: number,
): Iterable<readonly [ProgrammedScheduler, Record<number, number>]> {
  const memory = new KernelMemory(bpf);
  const { director } = new Directed({ maxConnections: 64, memory });
  const programs = new ScheduledInKernel(bpf, memory);
  const services = LIST_SIZES.map((size, i) => {
    const service = { mark: i + 1, family: 4 } as const;
    director.apply({ op: 'add-service', service, options: { scheduler: 'rr' } }, 0);
    for (let n = 0; n < size; n++) {
      const destination = { address: `10.1.${n >> 8}.${n & 255}`, port: 80 };
      const options = { method: 'nat', weight: 1 + (n % 10) } as const;
      director.apply({ op: 'add-destination', service, destination, options }, 0);
    }
    return { size, service, its: requireService(director.context, service) };
  });
  for (const scheduler of SCHEDULERS) {
    const figures: Record<number, number> = {};
    for (const { size, service, its } of services) {
      director.apply({ op: 'edit-service', service, options: { scheduler } }, 0);
      // One connection for each destination, and mh makes its table.
      for (const each of its.destinations) each.addActive(1 - each.activeConnections);
      its.scheduler.schedule(request());
      const measured = Array.from({ length: rounds }, () =>
        programs.measure(scheduler, its.index, request(), REPEAT),
      );
      figures[size] = median(measured);
    }
    yield [scheduler, figures];
  }
}
