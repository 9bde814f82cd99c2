import { expect, test } from 'vitest';
import { exabgpLines, followForExabgp, formatListing } from '../../../src/cli/director/announcements.ts';
import type { AnnouncementListing } from '../../../src/model/announcement.ts';
import { LvsError } from '../../../src/model/errors.ts';

test('the listing says for each VIP what it is and what it is to be', () => {
  const listing: AnnouncementListing = {
    isWithdrawn: false,
    vips: [
      { vip: '192.0.2.1', isReady: true, isWanted: true, isAnnounced: true },
      { vip: '192.0.2.2', isReady: true, isWanted: true, isAnnounced: false },
      { vip: '192.0.2.3', isReady: false, isWanted: false, isAnnounced: false },
    ],
    sessions: { established: 1, all: 2 },
    error: { kind: 'refused', text: 'BIRD refuses its configuration' },
  };
  expect(formatListing(listing)).toBe(`192.0.2.1: announced: ready
192.0.2.2: withdrawn, to be announced: ready
192.0.2.3: withdrawn: not ready
BGP sessions: 1 of 2 established
refused: BIRD refuses its configuration
`);
  expect(formatListing({ isWithdrawn: false, vips: [] })).toBe('no VIPs are announced\n');
});

test('ExaBGP gets a line for each change, withdrawals first', () => {
  const before = new Set(['192.0.2.1', '192.0.2.2']);
  expect(exabgpLines(before, ['192.0.2.2', '2001:db8::1'], 'self')).toEqual([
    'withdraw route 192.0.2.1/32 next-hop self',
    'announce route 2001:db8::1/128 next-hop self',
  ]);
  expect([...before]).toEqual(['192.0.2.2', '2001:db8::1']);
  expect(exabgpLines(before, ['192.0.2.2', '2001:db8::1'], 'self')).toEqual([]);
});

test('ExaBGP withdraws what an earlier process may have announced, when it is seen first', async () => {
  const ending = new AbortController();
  const known = (...wanted: boolean[]) => ({
    isWithdrawn: false,
    vips: [
      ...wanted.map((isWanted, i) => ({ vip: `192.0.2.${i + 1}`, isReady: isWanted, isWanted })),
      // Of the other IP version.
      { vip: '2001:db8::1', isReady: true, isWanted: true },
    ],
  });
  const answers = [known(), known(true, false), known(true, false), known(true, true)];
  const lines: string[] = [];
  const api = {
    async announcements() {
      if (answers.length === 1) ending.abort();
      return answers.shift()!;
    },
    close() {},
  };
  await followForExabgp(
    api,
    { nextHop: 'self', version: 4 },
    (text) => lines.push(text),
    () => {},
    ending.signal,
  );
  expect(lines.join('')).toBe(`withdraw route 192.0.2.2/32 next-hop self
announce route 192.0.2.1/32 next-hop self
announce route 192.0.2.2/32 next-hop self
withdraw route 192.0.2.1/32 next-hop self
withdraw route 192.0.2.2/32 next-hop self
`);
});

test('ExaBGP withdraws when the director cannot be asked, and when the command ends', async () => {
  const ending = new AbortController();
  const listing = { isWithdrawn: false, vips: [{ vip: '192.0.2.1', isReady: true, isWanted: true }] };
  const answers = [listing, listing, undefined, undefined, listing];
  const api = {
    async announcements() {
      if (answers.length === 1) ending.abort();
      const answer = answers.shift();
      if (!answer) throw new LvsError('UNAVAILABLE', 'the director closed the connection');
      return answer;
    },
    close() {},
  };
  const lines: string[] = [];
  const errors: string[] = [];
  await followForExabgp(
    api,
    { nextHop: 'self', version: 4 },
    (text) => lines.push(text),
    (line) => errors.push(line),
    ending.signal,
  );
  expect(lines).toEqual([
    'announce route 192.0.2.1/32 next-hop self\n',
    'withdraw route 192.0.2.1/32 next-hop self\n',
    'announce route 192.0.2.1/32 next-hop self\n',
    'withdraw route 192.0.2.1/32 next-hop self\n',
  ]);
  expect(errors).toEqual(['the director closed the connection']);
});
