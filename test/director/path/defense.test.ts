import { describe, expect, test } from 'vitest';
import { Directed } from '../../support/directed.ts';

const WEB = 'tcp 192.0.2.80:80';
const syn = (n: number) => `203.0.${n >> 8}.${n & 255}:1000 > 192.0.2.80:80 SYN`;
const web = () => new Directed().serve(WEB, ['10.0.0.1:80']);

describe('drop_packet', () => {
  const dropped = (directed: Directed, attempts: number) =>
    Array.from({ length: attempts }, (_, n) => n).filter((n) => directed.receive(syn(n)) === 'drop-rate');

  test('drops the first of every group of attempts', () => {
    const directed = web();
    directed.set('drop_packet', 3);
    expect(dropped(directed, 40)).toEqual([0, 10, 20, 30]);
  });

  test('drops as many as am_droprate says', () => {
    const directed = web();
    directed.set('drop_packet', 3);
    directed.set('am_droprate', 2);
    // Read once a second.
    directed.wait(1);
    expect(dropped(directed, 6)).toEqual([0, 2, 4]);
  });

  test('keeps packets of known connections', () => {
    const directed = web();
    directed.receive(syn(1));
    directed.set('drop_packet', 3);
    directed.set('am_droprate', 1);
    expect(directed.receive(syn(1))).toBe('forwarded');
    expect(directed.receive(syn(2))).toBe('drop-rate');
  });

  test('with value 1 or 2 drops only while the table is nearly full', () => {
    const directed = new Directed({ maxConnections: 1024 }).serve(WEB, ['10.0.0.1:80']);
    directed.set('drop_packet', 1);
    expect(dropped(directed, 800)).toEqual([]);
    directed.wait(1);
    expect(directed.director.snapshot(directed.now).settings.drop_packet).toBe(1);
    for (let n = 800; n < 1000; n++) directed.receive(syn(n));
    directed.wait(1);
    expect(directed.director.snapshot(directed.now).settings.drop_packet).toBe(2);
    for (let n = 1000; n < 1100; n++) directed.receive(syn(n));
    expect(directed.director.snapshot(directed.now).drops['drop-rate']).toBeGreaterThan(0);
    directed.wait(70);
    expect(directed.director.snapshot(directed.now).settings.drop_packet).toBe(1);
  });
});

describe('drop_entry', () => {
  /** Lets seconds pass one by one. */
  const seconds = (directed: Directed, count: number) => {
    for (let second = 0; second < count; second++) directed.wait(1);
  };

  test('drops half-open connections long before their timeout, and no others', () => {
    const directed = web();
    for (let n = 0; n < 100; n++) directed.receive(syn(n));
    for (let n = 0; n < 50; n++) directed.receive(syn(n).replace('SYN', 'ACK'));
    directed.set('drop_entry', 3);
    seconds(directed, 50);
    const left = directed.connections;
    expect(left.filter((line) => line.includes('ESTABLISHED'))).toHaveLength(50);
    expect(left.length).toBeLessThan(90);
    expect(directed.counts(WEB, '10.0.0.1:80')).toBe(`${left.length}/0/0`);
  });

  test('drops an unassured template, and keeps an assured one', () => {
    const directed = new Directed().serve(WEB, ['10.0.0.1:80'], { persistent: 3000 });
    for (let n = 0; n < 40; n++) directed.receive(syn(n));
    directed.receive(syn(0).replace('SYN', 'ACK'));
    directed.set('drop_entry', 3);
    seconds(directed, 59);
    const templates = directed.connections.filter((line) => line.includes(':0 '));
    expect(templates.filter((line) => line.includes('ASSURED'))).toHaveLength(1);
    expect(templates.length).toBeLessThan(35);
  });

  test('keeps established connections that are in use', () => {
    const directed = web();
    for (let n = 0; n < 20; n++) {
      directed.receive(syn(n));
      directed.receive(syn(n).replace('SYN', 'ACK'));
    }
    directed.set('drop_entry', 3);
    seconds(directed, 58);
    expect(directed.connections).toHaveLength(20);
    seconds(directed, 240);
    expect(directed.connections.length).toBeLessThan(20);
  });
});

test('secure_tcp 1 is inactive while memory is available', () => {
  const directed = web();
  directed.set('secure_tcp', 1);
  directed.receive(syn(1));
  directed.receive(syn(1).replace('SYN', 'ACK'));
  expect(directed.state).toBe('ESTABLISHED');
});
