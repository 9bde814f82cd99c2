/** Computes the commands that turn rules into other rules, without the draining of a reload: as `ipvsadm` changes them. */
import type { Command } from '../../model/command.ts';
import { formatDestination, formatService } from '../../model/naming.ts';
import { Slice } from '../../model/slice.ts';
import type { Rule } from './applied-state.ts';

/** Resolves with the commands. Works in slices. */
export async function ruleChanges(from: readonly Rule[], to: readonly Rule[]): Promise<Command[]> {
  const commands: Command[] = [];
  const slice = new Slice();
  const before = new Map(from.map((rule) => [formatService(rule.service), rule]));
  const kept = new Set(to.map(({ service }) => formatService(service)));
  for (const [key, { service }] of before)
    if (!kept.has(key)) commands.push({ op: 'delete-service', service });
  for (const rule of to) {
    commands.push(...changesOf(before.get(formatService(rule.service)), rule));
    if (slice.spent) await slice.next();
  }
  return commands;
}

function changesOf(from: Rule | undefined, to: Rule): Command[] {
  const { service, options } = to;
  const commands: Command[] = [];
  if (!from) commands.push({ op: 'add-service', service, options });
  else if (!isSame(from.options, options)) commands.push({ op: 'edit-service', service, options });
  const before = new Map(from?.destinations.map((each) => [formatDestination(each), each]));
  for (const { address, port, options } of to.destinations) {
    const destination = { address, port };
    const key = formatDestination(destination);
    const known = before.get(key);
    before.delete(key);
    if (!known) commands.push({ op: 'add-destination', service, destination, options });
    else if (!isSame(known.options, options))
      commands.push({ op: 'edit-destination', service, destination, options });
  }
  for (const { address, port } of before.values())
    commands.push({ op: 'delete-destination', service, destination: { address, port } });
  return commands;
}

/** Compares options without the order of their names. Missing values are undefined ones. */
function isSame(a: object, b: object): boolean {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].every(
    (name) => JSON.stringify(Reflect.get(a, name)) === JSON.stringify(Reflect.get(b, name)),
  );
}
