import { describe, expect, test } from 'vitest';
import type { Command } from '../../src/model/command.ts';
import { LvsError } from '../../src/model/errors.ts';
import { Directed, endpoint, serviceName, VIP } from '../support/directed.ts';

const WEB = 'tcp 192.0.2.80:80';
const service = serviceName(WEB);
const at = endpoint('10.0.0.1:80');
const scheduler = 'rr';
const method = 'nat' as const;

const code = (directed: Directed, command: Command): string | undefined => {
  const before = JSON.stringify(directed.director.snapshot(0));
  try {
    directed.director.apply(command, 0);
    return undefined;
  } catch (error) {
    expect(JSON.stringify(directed.director.snapshot(0)), 'a refused command changes nothing').toBe(before);
    if (!(error instanceof LvsError)) throw error;
    return error.code;
  }
};

describe('the director refuses', () => {
  test.each<[string, Command, string]>([
    ['a service twice', { op: 'add-service', service, options: { scheduler } }, 'SERVICE_EXISTS'],
    [
      'an unknown scheduler',
      { op: 'edit-service', service, options: { scheduler: 'nosuch' } },
      'NO_SUCH_SCHEDULER',
    ],
    [
      'a name of Object’s own',
      { op: 'edit-service', service, options: { scheduler: 'toString' } },
      'NO_SUCH_SCHEDULER',
    ],
    [
      'an unknown engine',
      { op: 'edit-service', service, options: { scheduler, engine: 'x' } },
      'NO_SUCH_SCHEDULER',
    ],
    [
      'one-packet scheduling of TCP',
      { op: 'edit-service', service, options: { scheduler, ops: true } },
      'INVALID',
    ],
    [
      'a fraction of a second',
      { op: 'edit-service', service, options: { scheduler, persistent: 1.5 } },
      'INVALID',
    ],
    [
      'persistence of more time than a timer has',
      { op: 'edit-service', service, options: { scheduler, persistent: 4_294_968 } },
      'INVALID',
    ],
    [
      'a netmask too long',
      { op: 'edit-service', service, options: { scheduler, persistent: 1, persistencePrefix: 33 } },
      'INVALID',
    ],
    [
      'all ports without persistence',
      {
        op: 'add-service',
        service: { protocol: 'tcp', address: '192.0.2.81', port: 0 },
        options: { scheduler },
      },
      'INVALID',
    ],
    [
      'a name for an address',
      { op: 'add-service', service: { protocol: 'tcp', address: 'www', port: 1 }, options: { scheduler } },
      'INVALID',
    ],
    ['mark 0', { op: 'add-service', service: { mark: 0, family: 4 }, options: { scheduler } }, 'INVALID'],
    [
      'to edit what is not there',
      { op: 'edit-service', service: { mark: 9, family: 4 }, options: { scheduler } },
      'NO_SUCH_SERVICE',
    ],
    [
      'to delete what is not there',
      { op: 'delete-service', service: { mark: 9, family: 4 } },
      'NO_SUCH_SERVICE',
    ],
    ['to zero what is not there', { op: 'zero', service: { mark: 9, family: 4 } }, 'NO_SUCH_SERVICE'],
    [
      'a mark of the other family',
      { op: 'delete-service', service: { mark: 7, family: 6 } },
      'NO_SUCH_SERVICE',
    ],
    [
      'a destination twice',
      { op: 'add-destination', service, destination: at, options: { method } },
      'DESTINATION_EXISTS',
    ],
    [
      'a destination of no service',
      { op: 'add-destination', service: { mark: 9, family: 4 }, destination: at, options: { method } },
      'NO_SUCH_SERVICE',
    ],
    [
      'to edit no destination',
      { op: 'edit-destination', service, destination: endpoint('10.0.0.1:81'), options: { method } },
      'NO_SUCH_DESTINATION',
    ],
    [
      'to delete no destination',
      { op: 'delete-destination', service, destination: endpoint('10.0.0.2:80') },
      'NO_SUCH_DESTINATION',
    ],
    [
      'a weight below 0',
      { op: 'edit-destination', service, destination: at, options: { method, weight: -1 } },
      'OUT_OF_RANGE',
    ],
    [
      'thresholds upside down',
      {
        op: 'edit-destination',
        service,
        destination: at,
        options: { method, upperThreshold: 5, lowerThreshold: 10 },
      },
      'OUT_OF_RANGE',
    ],
    [
      'multicast',
      { op: 'add-destination', service, destination: endpoint('224.0.0.1:80'), options: { method } },
      'INVALID',
    ],
    [
      'no address',
      { op: 'add-destination', service, destination: endpoint('0.0.0.0:80'), options: { method } },
      'INVALID',
    ],
    [
      'NAT to the other family',
      { op: 'add-destination', service, destination: endpoint('[fd00::1]:80'), options: { method } },
      'INVALID',
    ],
    [
      'GUE without a port',
      {
        op: 'add-destination',
        service,
        destination: endpoint('10.0.0.9:80'),
        options: { method: 'tunnel', tunnel: { type: 'gue', port: 0, checksum: 'none' } },
      },
      'INVALID',
    ],
    ['an unknown setting', { op: 'set', name: 'nosuch' as 'drop_packet', value: 1 }, 'INVALID'],
    ['a setting out of its range', { op: 'set', name: 'drop_packet', value: 4 }, 'INVALID'],
    ['a time-out below 0', { op: 'set-timeouts', timeouts: { tcp: -1, tcpFin: 0, udp: 0 } }, 'INVALID'],
    ['a prefix that is none', { op: 'set-marks', rules: [{ mark: 1, to: '10.0.0.0/33' }] }, 'INVALID'],
    ['to stop what does not run', { op: 'stop-daemon', role: 'master' }, 'NO_DAEMON'],
  ])('%s', (_name, command, expected) => {
    const directed = new Directed().serve(WEB, ['10.0.0.1:80']).serve('mark 7', []);
    expect(code(directed, command)).toBe(expected);
  });

  test('a second daemon of the same role', () => {
    const directed = new Directed();
    const start = { op: 'start-daemon', daemon: { role: 'master', syncId: 1, interface: 'eth0' } } as const;
    expect([code(directed, start), code(directed, start)]).toEqual([undefined, 'DAEMON_RUNNING']);
    expect(code(directed, { op: 'stop-daemon', role: 'master' })).toBeUndefined();
    expect(directed.director.snapshot(0).daemons).toEqual([]);
  });
});

test('a sync daemon and a destination of the other address family exclude each other', () => {
  const start = { op: 'start-daemon', daemon: { role: 'master', syncId: 1, interface: 'eth0' } } as const;
  const add = {
    op: 'add-destination',
    service,
    destination: endpoint('[fd00::1]:80'),
    options: { method: 'tunnel' },
  } as const;
  const mixed = new Directed().serve(WEB, []);
  expect([code(mixed, add), code(mixed, start)]).toEqual([undefined, 'INVALID']);
  const synced = new Directed().serve(WEB, []);
  expect([code(synced, start), code(synced, add)]).toEqual([undefined, 'INVALID']);
});

describe('the snapshot', () => {
  test('lists services in the order of addition, and destinations newest first', () => {
    const directed = new Directed().serve(WEB, ['10.0.0.1:80', '10.0.0.2:80']).serve('mark 7', []);
    const { services } = directed.director.snapshot(0);
    expect(services.map((s) => s.service)).toEqual([service, { mark: 7, family: 4 }]);
    expect(services[0]!.destinations.map((d) => d.address)).toEqual(['10.0.0.2', '10.0.0.1']);
  });

  test('shows defaults for the options of an edited destination that the command omits', () => {
    const directed = new Directed().serve(WEB, []);
    directed.add(WEB, '10.0.0.1:80', { weight: 5, upperThreshold: 9, lowerThreshold: 3 });
    directed.edit(WEB, '10.0.0.1:80', { method: 'dr' });
    const { method, weight, upperThreshold, lowerThreshold } = directed.destination(WEB, '10.0.0.1:80');
    expect({ method, weight, upperThreshold, lowerThreshold }).toEqual({
      method: 'dr',
      weight: 1,
      upperThreshold: 0,
      lowerThreshold: 0,
    });
  });

  test('shows that an edited service keeps its destinations and resets its options', () => {
    const directed = new Directed().serve(WEB, ['10.0.0.1:80'], { persistent: 60 });
    directed.director.apply({ op: 'edit-service', service, options: { scheduler: 'wlc' } }, 0);
    expect(directed.service(WEB).options).toEqual({ scheduler: 'wlc' });
    expect(directed.service(WEB).destinations).toHaveLength(1);
  });

  test('is empty after a flush, except for settings and timeouts', () => {
    const directed = new Directed().serve(WEB, ['10.0.0.1:80']).serve('mark 7', []);
    directed.set('sloppy_tcp', 1);
    directed.director.apply({ op: 'set-timeouts', timeouts: { tcp: 30, tcpFin: 0, udp: 40 } }, 0);
    directed.director.apply({ op: 'flush' }, 0);
    const { services, settings, timeouts } = directed.director.snapshot(0);
    expect(services).toEqual([]);
    expect([settings.sloppy_tcp, timeouts]).toEqual([1, { tcp: 30, tcpFin: 120, udp: 40 }]);
  });

  test('is a copy', () => {
    const directed = new Directed().serve(WEB, ['10.0.0.1:80']);
    const before = directed.director.snapshot(0);
    const text = JSON.stringify(before);
    directed.receive('203.0.113.7:4000 > 192.0.2.80:80 SYN');
    directed.set('sloppy_tcp', 1);
    directed.wait(2);
    expect(JSON.stringify(before)).toBe(text);
  });
});

test('a property name that every object has is not a protocol name', () => {
  const { director } = new Directed();
  const service = { protocol: 'constructor' as 'tcp', address: VIP, port: 80 };
  expect(() => director.apply({ op: 'add-service', service, options: { scheduler: 'rr' } }, 0)).toThrow(
    'protocol constructor',
  );
  const rules = [{ mark: 1, protocol: 'toString' as 'tcp' }];
  expect(() => director.apply({ op: 'set-marks', rules }, 0)).toThrow('protocol toString');
});
