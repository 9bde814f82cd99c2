import { describe, expect, test } from 'vitest';
import { announcedIn, birdFile, includeLine, protocolOf } from '../../src/announce/bird-file.ts';
import { errorOf, protocolsOf, ReplyReader } from '../../src/announce/bird-reply.ts';

/** What BIRD 2.0.12 sends. */
const SHOWN =
  '2002-Name       Proto      Table      State  Since         Info\n' +
  '1002-lvs_192_0_2_1 Static     master4    up     13:28:52.856  \n' +
  ' lvs_2001_db8__1 Static     master6    down   2026-11-30  \n' +
  ' edge       BGP        ---        up     2026-11-30 13:28:52  Established   \n' +
  '0000 \n';

describe('replies of BIRD', () => {
  test('are complete with a code and a space, however the text is cut', () => {
    for (let cut = 1; cut < SHOWN.length; cut++) {
      const reader = new ReplyReader();
      const replies = [...reader.push(SHOWN.slice(0, cut)), ...reader.push(SHOWN.slice(cut))];
      expect(replies).toHaveLength(1);
      expect(protocolsOf(replies[0]!)).toEqual([
        { name: 'lvs_192_0_2_1', kind: 'Static', isUp: true, info: '' },
        { name: 'lvs_2001_db8__1', kind: 'Static', isUp: false, info: '' },
        { name: 'edge', kind: 'BGP', isUp: true, info: '13:28:52 Established' },
      ]);
    }
  });

  test('report errors, also after other lines', () => {
    const [refused, ok] = new ReplyReader().push(
      '0002-Reading configuration from bird.conf\n8002 bird.conf:3:10 syntax error\n0003 Reconfigured\n',
    );
    expect(errorOf(refused!)).toBe('bird.conf:3:10 syntax error');
    expect(errorOf(ok!)).toBeUndefined();
  });

  test('have no part in lines that begin with a plus', () => {
    expect(new ReplyReader().push('+log line\n0000 \n')).toEqual([[{ code: 0, text: '' }]]);
  });

  test.each(['HTTP/1.1 200 OK\n', ' continued\n', '12 \n', '\n', `${'x'.repeat(5_000_000)}`])(
    'are refused if they are not of BIRD: %.20s',
    (text) => expect(() => new ReplyReader().push(text)).toThrow(/unexpected line|longer than/),
  );
});

test('the file has a protocol for each VIP, from which the VIPs can be read again', () => {
  const vips = new Map([
    ['192.0.2.1', true],
    ['2001:db8::1', false],
  ]);
  const text = birdFile('id', vips);
  expect(text).toBe(
    '# written by lvs-director id\n' +
      'protocol static lvs_192_0_2_1 { disabled no; ipv4; route 192.0.2.1/32 unreachable; }\n' +
      'protocol static lvs_2001_db8__1 { disabled yes; ipv6; route 2001:db8::1/128 unreachable; }\n',
  );
  expect(announcedIn(text)).toEqual(vips);
  expect(announcedIn('log "x" all;\n')).toEqual(new Map());
  expect(protocolOf('2001:db8::1')).toBe('lvs_2001_db8__1');
  expect(includeLine('/run/lvs/announce.conf')).toBe('include "/run/lvs*/announce.conf";');
});
