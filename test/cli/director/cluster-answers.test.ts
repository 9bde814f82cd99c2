import { expect, test } from 'vitest';
import { answersText } from '../../../src/cli/director/cluster-answers.ts';
import type { ProposalAnswer } from '../../../src/cluster/records.ts';

const answer = (node: string, connections: number, more: Partial<ProposalAnswer> = {}): ProposalAnswer => ({
  ...{ node, changes: 2, draining: 0, warnings: [], manualChanges: [] },
  plan: { lines: ['+ tcp 192.0.2.1:80: rr', '+ VIP 192.0.2.1 eth0'], more: 3, connections },
  ...more,
});

test('equal plans are shown once, with the names of the directors and their connections', () => {
  const answers = new Map([
    ['d1', answer('d1', 5)],
    ['d2', answer('d2', 0, { warnings: ['no space'], manualChanges: ['tcp 192.0.2.1:81'] })],
    ['d3', answer('d3', 7)],
  ]);
  expect(answersText(answers, 60)).toEqual({
    isValid: true,
    text: `d1, d3: 2 changes, 0 to be removed when idle
  + tcp 192.0.2.1:80: rr
  + VIP 192.0.2.1 eth0
  and 3 more
  connections of what changes: d1 5, d3 7
d2: 2 changes, 0 to be removed when idle
  + tcp 192.0.2.1:80: rr
  + VIP 192.0.2.1 eth0
  and 3 more
  warning: no space
  ! changed with ipvsadm: tcp 192.0.2.1:81
`,
  });
});

test('directors that reject it, do not answer, or run another release are named', () => {
  const { plan: _plan, ...old } = answer('d3', 0);
  const answers = new Map([
    ['d1', answer('d1', 0, { error: 'no such file' })],
    ['d2', undefined],
    ['d3', old],
  ]);
  expect(answersText(answers, 60)).toEqual({
    isValid: false,
    text: 'd1: rejects it: no such file\nd2: no answer within 60 s\nd3: 2 changes, 0 to be removed when idle\n',
  });
  expect(answersText(new Map(), 60)).toEqual({ isValid: true, text: 'no director of the cluster runs\n' });
});
