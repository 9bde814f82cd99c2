/** A change to the real server's kernel: what was there before, making it, putting it back. */

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

/** What a change found: enough to put it back. Plain JSON, as it is written to the state file. */
export type Before = string | readonly string[];

/** A change that was made, or was about to be. */
export interface Made {
  readonly change: Change;
  readonly before: Before;
}

/** What there is before the change; undefined: it is so already, and there is nothing to make or to put back. */
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

/** Puts things back; harmless where the change was not made, is undone already, or somebody changed it again. */
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
