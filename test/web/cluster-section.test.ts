import { expect, test } from 'vitest';
import type { ClusterStatus } from '../../src/model/cluster.ts';
import { clusterSection } from '../../src/web/cluster-section.ts';
import { clusterLine, isWell, nodeRows } from '../../src/web/cluster-state.ts';
import { page } from '../../src/web/page.ts';
import { CLUSTER } from '../support/cluster-status.ts';
import { ObservedDirector, surroundings, WEB } from '../support/observed.ts';

const [D1, D2] = CLUSTER.nodes;
const WELL: ClusterStatus = {
  ...CLUSTER,
  nodes: [D1!],
  members: [CLUSTER.members[0]!],
  groups: [CLUSTER.groups[0]!],
};
const rowOf = (status: ClusterStatus, name: string) =>
  clusterSection(status)
    .text.split('\n')
    .find((line) => line.startsWith('<tr') && line.includes(`scope="row">${name}`));

test('only a director of a cluster has the section, and the header names problems', async () => {
  const observed = new ObservedDirector().serve(WEB, { '10.0.0.1': 1 });
  expect((await page(observed)).join('')).not.toContain('luster');
  observed.around = { ...surroundings, cluster: CLUSTER };
  const text = (await page(observed)).join('');
  expect(text).toContain('<section id="cluster"');
  expect(text).toContain(
    '<span class="unwell">2 of 5 directors online, generation 7, group b 1 of 2, d2 rejected, d3 offline</span>',
  );
});

test('directors with problems come first, with the reason', () => {
  expect(nodeRows(CLUSTER).map(({ node, word }) => `${node} ${word}`)).toEqual([
    'd2 rejected',
    'd3 offline',
    'd4 paused',
    'd5 evicted',
    'd1 online',
  ]);
  expect(rowOf(CLUSTER, 'd2')).toContain('lvs.yaml: no such file</small>');
  expect(rowOf(CLUSTER, 'd2')).not.toContain('more');
});

test('a row has generation, load, VIPs, version and addresses, and a dash for what is not known', () => {
  const text = rowOf(CLUSTER, 'd1')!.replace(/<[^>]*>/g, '|');
  for (const part of ['|7|', '|12.0 k|', '|340|', '|44.8 M|', '|1.2.3|', '|192.0.2.11 2001:db8::11|'])
    expect(text).toContain(part);
  expect(text).toContain('|198.51.100.1 2001:db8:1::1|');
  expect(rowOf(CLUSTER, 'd4')).toContain('>none<');
  expect(rowOf(CLUSTER, 'd3')!.match(/>-</g)).toHaveLength(7);
  const many = {
    ...WELL,
    members: [
      {
        ...WELL.members[0]!,
        announced: { count: 203, vips: Array.from({ length: 64 }, (_, i) => `192.0.2.${i}`) },
      },
    ],
  };
  expect(rowOf(many, 'd1')).toContain('192.0.2.7 and 195 more');
});

test('groups of VIPs are listed, those that lack a director first', () => {
  const text = clusterSection(CLUSTER).text.replace(/<[^>]*>/g, '|');
  expect(text).toMatch(/\|b\|+1\| d1\|+2\|+active\|(?:.|\n)*\|a\|+1\| d2\|+1\|+spare\|/);
  expect(clusterSection({ ...CLUSTER, groups: [] }).text).not.toContain('Group of VIPs');
  expect(isWell({ ...WELL, groups: CLUSTER.groups })).toBe(false);
});

test('a director behind, one that is not ready, and an unreachable etcd are problems', () => {
  expect(isWell(WELL)).toBe(true);
  expect(clusterLine(WELL)).toBe('1 of 1 directors online, generation 7');
  const behind: ClusterStatus = { ...WELL, stored: 8 };
  expect(clusterLine(behind)).toBe('1 of 1 directors online, generation 7, etcd has 8, d1 behind');
  const unready = { ...WELL, members: [{ ...WELL.members[0]!, isReady: false }] };
  expect(clusterLine(unready)).toContain('d1 not ready');
  const lost = { ...WELL, isReachable: false };
  expect(clusterLine(lost)).toMatch(/^etcd cannot be reached, /);
  expect(clusterSection(lost).text).toContain('etcd cannot be reached</span>');
  for (const each of [behind, unready, lost]) expect(isWell(each)).toBe(false);
});

test('texts of other directors are short and no markup, and the last events come first', () => {
  const nasty = `<script>${'x'.repeat(3900)}`;
  const { text } = clusterSection({
    ...CLUSTER,
    nodes: [D2!],
    members: [{ ...CLUSTER.members[1]!, version: nasty, rejected: { generation: 7, error: nasty } }],
    events: [...CLUSTER.events, { time: nasty, node: 'd9', event: nasty, text: nasty }],
  });
  expect(text).not.toContain('<script');
  expect(text.length).toBeLessThan(5000);
  expect([...text.matchAll(/<li>.*? <b>(d\d)</g)].map(([, node]) => node)).toEqual(['d9', 'd2', 'd1']);
});
