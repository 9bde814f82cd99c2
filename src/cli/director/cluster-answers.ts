/** Prints what the directors of a cluster answer to a configuration: equal answers once, with the names of the directors. */
import type { ProposalAnswer } from '../../cluster/records.ts';

/** Returns the text, and whether all accept the configuration. `timeout`: seconds for which they were asked. */
export function answersText(
  answers: ReadonlyMap<string, ProposalAnswer | undefined>,
  timeout: number,
): { readonly text: string; readonly isValid: boolean } {
  if (answers.size === 0) return { text: 'no director of the cluster runs\n', isValid: true };
  const groups = new Map<string, string[]>();
  const connections = new Map<string, string[]>();
  for (const [node, answer] of answers) {
    const text = textOf(answer, timeout);
    groups.set(text, [...(groups.get(text) ?? []), node]);
    const count = answer?.plan?.connections ?? 0;
    if (count > 0) connections.set(text, [...(connections.get(text) ?? []), `${node} ${count}`]);
  }
  const parts = [...groups].map(([text, nodes]) => {
    const live = connections.get(text);
    return `${nodes.join(', ')}: ${text}${live ? `  connections of what changes: ${live.join(', ')}\n` : ''}`;
  });
  return {
    text: parts.join(''),
    isValid: [...answers.values()].every((answer) => answer && answer.error === undefined),
  };
}

/** What follows the names of directors. */
function textOf(answer: ProposalAnswer | undefined, timeout: number): string {
  if (!answer) return `no answer within ${timeout} s\n`;
  const { error, changes, draining, warnings, manualChanges, plan } = answer;
  if (error !== undefined) return `rejects it: ${error}\n`;
  const lines = [
    `${changes} changes, ${draining} to be removed when idle`,
    ...(plan?.lines ?? []).map((line) => `  ${line}`),
    ...(plan && plan.more > 0 ? [`  and ${plan.more} more`] : []),
    ...warnings.map((warning) => `  warning: ${warning}`),
    ...manualChanges.map((what) => `  ! changed with ipvsadm: ${what}`),
  ];
  return `${lines.join('\n')}\n`;
}
