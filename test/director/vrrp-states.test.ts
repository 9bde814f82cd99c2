import { describe, expect, test } from 'vitest';
import type { VrrpInstance } from '../../src/model/vrrp.ts';
import { Directed } from '../support/directed.ts';

class Node extends Directed {
  #at = 0;

  report(state: VrrpInstance['state'], name = 'lvs', at = this.#at++): this {
    this.director.apply({ op: 'notify', instance: { type: 'INSTANCE', name, state }, at }, this.now);
    return this;
  }

  start(role: 'master' | 'backup'): this {
    this.director.apply({ op: 'start-daemon', daemon: { role, syncId: 7, interface: 'eth1' } }, this.now);
    return this;
  }

  /** Roles of the daemons that run now. */
  get roles(): string[] {
    return this.director.snapshot(this.now).daemons.map(({ role }) => role);
  }

  get states(): string[] {
    return this.director.snapshot(this.now).vrrp.map(({ name, state }) => `${name} ${state}`);
  }
}

describe('a report of keepalived', () => {
  test('changes the role of the sync daemon, and both run for three seconds', () => {
    const node = new Node().start('backup').report('MASTER');
    expect(node.roles).toEqual(['backup', 'master']);
    node.wait(3);
    expect(node.roles).toEqual(['master']);
    expect(node.director.snapshot(node.now).daemons).toEqual([
      { role: 'master', syncId: 7, interface: 'eth1' },
    ]);
    node.report('FAULT');
    expect(node.roles).toEqual(['master', 'backup']);
    node.wait(3);
    expect(node.roles).toEqual(['backup']);
  });

  test('that is followed by another one at once leads to the last role', () => {
    const node = new Node().start('backup').report('MASTER').report('BACKUP');
    expect(node.roles).toEqual(['backup', 'master']);
    node.wait(3);
    expect(node.roles).toEqual(['backup']);
  });

  test('of one instance among several leaves the role of a master', () => {
    const node = new Node()
      .start('backup')
      .report('MASTER', 'v4')
      .report('MASTER', 'v6')
      .report('STOP', 'v4');
    node.wait(3);
    expect(node.roles).toEqual(['master']);
    expect(node.states).toEqual(['v4 STOP', 'v6 MASTER']);
  });

  test('changes no daemon where both were started, or none', () => {
    const both = new Node().start('backup').start('master').report('BACKUP').report('MASTER');
    both.wait(3);
    expect(both.roles).toEqual(['backup', 'master']);
    expect(new Node().report('MASTER').roles).toEqual([]);
  });

  test('that was made before another one is refused, whenever it arrives', () => {
    const node = new Node().report('MASTER', 'lvs', 20);
    const early = { type: 'INSTANCE', name: 'lvs', state: 'BACKUP' } as const;
    expect(() => node.director.apply({ op: 'notify', instance: early, at: 10 }, node.now)).toThrow(
      'a later report has arrived',
    );
    expect(node.states).toEqual(['lvs MASTER']);
  });

  test('of a deleted instance forgets it', () => {
    expect(new Node().report('MASTER').report('DELETED').states).toEqual([]);
  });
});
