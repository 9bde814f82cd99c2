/** Dispatches the operations on a change of the host: reading the previous state, making the change, undoing it. */

import * as device from './device.ts';
import type { Machine } from './machine.ts';
import * as mss from './mss.ts';
import * as route from './route.ts';
import * as sysctl from './sysctl.ts';
import * as vip from './vip.ts';

export type Change =
  | sysctl.SysctlChange
  | device.DeviceChange
  | vip.VipChange
  | mss.MssChange
  | route.RouteChange;

/** The state before a change, sufficient to undo it. Plain JSON, as it is written to the state file. */
export type Before = string | readonly string[];

/** A change that was made, or was about to be. */
export interface Made {
  readonly change: Change;
  readonly before: Before;
}

/** Returns the state before the change; undefined if the host is already as wanted, so that nothing is to be undone. */
export function look(change: Change, machine: Machine): Promise<Before | undefined> {
  switch (change.kind) {
    case 'sysctl':
      return sysctl.look(change, machine);
    case 'device':
      return device.look(change, machine);
    case 'vip':
      return vip.look(change, machine);
    case 'mss':
      return mss.look(change, machine);
    case 'route':
      return route.look(change, machine);
    default:
      return change satisfies never;
  }
}

export function make(change: Change, machine: Machine): Promise<void> {
  switch (change.kind) {
    case 'sysctl':
      return sysctl.make(change, machine);
    case 'device':
      return device.make(change, machine);
    case 'vip':
      return vip.make(change, machine);
    case 'mss':
      return mss.make(change, machine);
    case 'route':
      return route.make(change, machine);
    default:
      return change satisfies never;
  }
}

/** Undoes a change. Has no effect if it was not made, is already undone, or another program changed the state since. */
export function undo({ change, before }: Made, machine: Machine): Promise<void> {
  switch (change.kind) {
    case 'sysctl':
      return sysctl.undo(change, before as string, machine);
    case 'device':
      return device.undo(change, before as string, machine);
    case 'vip':
      return vip.undo(change, machine);
    case 'mss':
      return mss.undo(machine);
    case 'route':
      return route.undo(change, before as readonly string[], machine);
    default:
      return change satisfies never;
  }
}
