import { expect, test } from 'vitest';
import type { Command } from '../../src/model/command.ts';
import type { Level } from '../../src/model/level.ts';
import { loggedApi, Overloads } from '../../src/runtime/changes.ts';
import type { Fields } from '../../src/runtime/log.ts';
import { Directed, VIP } from '../support/directed.ts';
import { directorApi } from '../support/director-apis.ts';

const WEB = { protocol: 'tcp', address: VIP, port: 80 } as const;
const destination = { address: '10.0.0.1', port: 80 };
const logged = () => {
  const lines: string[] = [];
  const log = (level: Level, event: string, fields: Fields = {}) => {
    lines.push(`${level} ${event} ${Object.values(fields).join(' ')}`);
  };
  return { lines, log };
};

test('changes are logged with their cause, refused changes are not', async () => {
  const { lines, log } = logged();
  const commands: Command[] = [
    { op: 'add-service', service: WEB, options: { scheduler: 'rr' } },
    { op: 'add-service', service: WEB, options: { scheduler: 'rr' } },
    { op: 'add-destination', service: WEB, destination, options: { method: 'nat', weight: 2 } },
    { op: 'edit-destination', service: WEB, destination, options: { method: 'nat', weight: 0 } },
    { op: 'delete-destination', service: WEB, destination },
    { op: 'delete-destination', service: WEB, destination },
    { op: 'set', name: 'drop_packet', value: 1 },
    { op: 'zero' },
    { op: 'delete-service', service: WEB },
  ];
  const outcomes = await loggedApi(directorApi(), 'a test', log).apply(commands);
  expect(outcomes.filter((outcome) => outcome !== undefined)).toHaveLength(2);
  expect(lines).toEqual([
    'info service-added tcp 192.0.2.80:80 rr a test',
    'info destination-added tcp 192.0.2.80:80 10.0.0.1:80 nat 2 a test',
    'info destination-edited tcp 192.0.2.80:80 10.0.0.1:80 nat 0 a test',
    'info destination-removed tcp 192.0.2.80:80 10.0.0.1:80 a test',
    'info setting-changed drop_packet 1 a test',
    'info service-removed tcp 192.0.2.80:80 a test',
  ]);
});

test('overload is logged at its start and its end', async () => {
  const it = new Directed().serve(`tcp ${VIP}:80`, ['10.0.0.1:80', '10.0.0.2:80'], { upperThreshold: 1 });
  const { lines, log } = logged();
  const overloads = new Overloads();
  const look = () => overloads.update(it.director.context.services.all, log);
  await look();
  it.receive(`203.0.113.1:4000 > ${VIP}:80 TCP SYN`);
  await look();
  await look();
  it.wait(100);
  await look();
  expect(lines).toEqual([
    'warning destination-overloaded tcp 192.0.2.80:80 10.0.0.2:80 1 connections',
    'info destination-relieved tcp 192.0.2.80:80 10.0.0.2:80 0 connections',
  ]);
});
