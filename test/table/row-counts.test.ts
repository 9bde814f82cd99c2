/** Counts that a killed director has left are corrected while programs make and change connections. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ALL, correctCounts, markOf, OPEN, PART } from '../../src/table/row-counts.ts';

const ROWS = 12;
const DESTINATIONS = 3;
const INDICES = [ALL, OPEN, ...[1, 2, 3].flatMap((n) => Object.values(PART).map((part) => 3 * n + part))];

interface Connection {
  readonly generation: number;
  readonly destination: number;
  readonly isActive: boolean;
}

/** Rows, and the counts that programs keep of them. */
class Table {
  readonly rows: (Connection | undefined)[];
  readonly counts = new Map(INDICES.map((index) => [index, 0]));

  constructor(destinations: readonly number[]) {
    this.rows = destinations.map(() => undefined);
    for (const [row, destination] of destinations.entries())
      if (destination > 0) this.begin(row, destination);
  }

  /** Makes an active connection; the one that was there gives way. */
  begin(row: number, destination: number): void {
    const former = this.rows[row];
    if (former) this.#count(former, -1);
    this.#set(row, { generation: ((former?.generation ?? 0) + 1) & 0xff, destination, isActive: true });
  }

  /** Makes the connection inactive; it never becomes active again. */
  close(row: number): void {
    const former = this.rows[row];
    if (!former) return;
    this.#count(former, -1);
    this.#set(row, { ...former, isActive: false });
  }

  mark(row: number): number {
    const connection = this.rows[row];
    if (!connection) return 0;
    const { generation, destination, isActive } = connection;
    return markOf(generation, destination, isActive ? PART.active : PART.inactive, false);
  }

  add(index: number, difference: number): void {
    this.counts.set(index, this.counts.get(index)! + difference);
  }

  /** By how much each count is wrong. */
  errors(): Record<number, number> {
    const right = new Table([]);
    for (const connection of this.rows) if (connection) right.#count(connection, 1);
    return Object.fromEntries(
      INDICES.map((index) => [index, this.counts.get(index)! - right.counts.get(index)!]),
    );
  }

  #set(row: number, connection: Connection): void {
    this.rows[row] = connection;
    this.#count(connection, 1);
  }

  #count({ destination, isActive }: Connection, by: number): void {
    this.add(ALL, by);
    this.add(3 * destination + (isActive ? PART.active : PART.inactive), by);
  }
}

/** What a program does when so many rows have been looked at. */
const actions = fc.array(
  fc.record({
    visit: fc.nat(4 * ROWS),
    row: fc.nat(ROWS - 1),
    destination: fc.integer({ min: 0, max: DESTINATIONS }),
  }),
  { maxLength: 8 },
);
const destinations = fc.array(fc.nat(DESTINATIONS), { minLength: ROWS, maxLength: ROWS });
const errors = fc.array(fc.tuple(fc.constantFrom(...INDICES), fc.integer({ min: -2, max: 2 })), {
  maxLength: 3,
});

test('a count that is right stays right, and one that is wrong is corrected, or left while its rows change', () =>
  fc.assert(
    fc.asyncProperty(destinations, actions, errors, async (begun, program, wrong) => {
      const table = new Table(begun);
      for (const [index, by] of wrong) table.add(index, by);
      const before = table.errors();
      let visits = 0;
      await correctCounts({
        capacity: ROWS,
        mark: (row) => {
          for (const action of program.filter(({ visit }) => visit === visits))
            if (action.destination > 0) table.begin(action.row, action.destination);
            else table.close(action.row);
          visits++;
          return table.mark(row);
        },
        read: (index) => table.counts.get(index) ?? 0,
        add: (index, difference) => table.add(index, difference),
      });
      for (const [index, error] of Object.entries(table.errors()))
        expect(program.length === 0 ? [0] : [0, before[Number(index)]]).toContain(error);
    }),
    { numRuns: 40 },
  ));
