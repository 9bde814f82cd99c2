import { describe, expect, test } from 'vitest';
import { comparable } from './comparable.ts';
import { recordings } from './recorded.ts';
import { RecordedDirector } from './recorded-host.ts';

describe.each(recordings())(
  'the director forwards as Linux 6.1: $name',
  ({ clientMtu, serverMtu, steps }) => {
    const director = new RecordedDirector(clientMtu, serverMtu);
    test.each(steps)('$name', ({ commands, heard, sent }) => {
      director.host.sent.length = 0;
      for (const command of commands) director.command(command);
      for (const { side, octets } of heard) director.hear(octets, side === 'server');
      const got = director.host.sent.map(({ octets, nextHop }) => {
        const side = director.host.isServer(nextHop) ? 'server' : 'client';
        return `${side} ${comparable(octets)}`;
      });
      expect(got).toEqual(sent.map(({ side, octets }) => `${side} ${comparable(octets)}`));
    });
  },
);
