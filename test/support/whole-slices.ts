/**
 * Work that is done in slices (src/model/slice.ts) ends in the turn of the event loop in which it begins, however slow this
 * machine is: for tests that look at its result in the same turn.
 */
import { vi } from 'vitest';
import { Slice } from '../../src/model/slice.ts';

export function keepSlicesWhole(): void {
  vi.spyOn(Slice.prototype, 'spent', 'get').mockReturnValue(false);
}
