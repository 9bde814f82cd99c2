import { describe, expect, test } from 'vitest';
import { ControlSlots } from '../../src/table/control-slots.ts';
import { ordinaryMemory } from '../../src/table/memory.ts';
import { LeftMemory } from '../support/left-memory.ts';

/** Word and bit for a client that has acknowledged what the server sent. */
const FLAGS = 2;
const PROVEN = 8;

/** Rows in use, with the order in which they were made. */
class Owners {
  readonly orders = new Map<number, number>();
  has = (row: number): boolean => this.orders.has(row);
  order = (row: number): number => this.orders.get(row) ?? 0;
}

describe('a state of a control connection', () => {
  const rows = (count: number): Owners => {
    const owners = new Owners();
    for (let row = 0; row < count; row++) owners.orders.set(row, 100 + row);
    return owners;
  };

  test('is found by its row, until the row has another connection', () => {
    const owners = rows(2);
    const slots = new ControlSlots(ordinaryMemory, 4, owners);
    const at = slots.make(1);
    expect([slots.find(1), slots.find(0)]).toEqual([at, -1]);
    owners.orders.set(1, 500);
    expect(slots.find(1)).toBe(-1);
  });

  test('of a client that is not proven gives way to others, and that of a proven one does not', () => {
    const slots = new ControlSlots(ordinaryMemory, 4, rows(10));
    for (let row = 0; row < 4; row++) slots.make(row);
    slots.words[slots.find(0) + FLAGS]! |= PROVEN;
    for (let row = 4; row < 10; row++) expect(slots.make(row)).toBeGreaterThan(0);
    expect(slots.find(0)).toBeGreaterThan(0);
    const [without] = [...Array(10).keys()].filter((row) => slots.find(row) < 0);
    for (let row = 0; row < 10; row++)
      if (slots.find(row) >= 0) slots.words[slots.find(row) + FLAGS]! |= PROVEN;
    expect(slots.make(without!)).toBe(-1);
  });

  test('is kept for the next director, if its row is', () => {
    const owners = rows(2);
    const memory = new LeftMemory();
    const slots = new ControlSlots(memory, 4, owners);
    slots.words[slots.make(0) + 10] = 7;
    slots.make(1);
    owners.orders.delete(1);
    const next = new ControlSlots(memory, 4, owners);
    expect([next.words[next.find(0) + 10], next.find(1)]).toEqual([7, -1]);
  });
});
