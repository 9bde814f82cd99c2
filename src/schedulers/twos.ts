/** The power of two choices: draws two destinations by weight, and selects the one with less load. */
import type { Destination } from '../model/destination.ts';
import { isEligible, isHeavier, overhead } from './least.ts';
import type { SchedulerFactory } from './scheduler.ts';

export const twos: SchedulerFactory = ({ destinations, random }) => {
  const draw = (total: number): Destination | undefined => {
    // 0 and `total` are both drawn, as in ip_vs_twos.c: the first destination has one chance more than its weight.
    let left = Math.floor(random() * (total + 1));
    for (const destination of destinations) {
      if (!isEligible(destination)) continue;
      left -= destination.weight;
      if (left <= 0) return destination;
    }
    return undefined;
  };
  return {
    schedule() {
      let total = 0;
      for (const destination of destinations) if (isEligible(destination)) total += destination.weight;
      if (total === 0) return undefined;
      const first = draw(total)!;
      const second = draw(total)!;
      return isHeavier(overhead(first), first.weight, overhead(second), second.weight) ? second : first;
    },
  };
};
