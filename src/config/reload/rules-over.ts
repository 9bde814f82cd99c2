/** Joins the steps of a reload with rules over the configuration, so that neither is in effect without the other for a moment. */
import type { Command } from '../../model/command.ts';
import { formatRule } from '../../model/naming.ts';

/**
 * Yields the steps without what the rules remove again, and with the options that they set. `over`: the fewest commands that
 * change the configuration's rules to those that are to be in effect.
 */
export function* stepsWithRulesOver(steps: Iterable<Command>, over: readonly Command[]): Generator<Command> {
  const removed = new Set<string>();
  const edited = new Map<string, Command>();
  for (const command of over) {
    if (command.op === 'delete-service') removed.add(formatRule(command.service));
    else if (command.op === 'delete-destination')
      removed.add(formatRule(command.service, command.destination));
    else if (command.op === 'edit-service') edited.set(formatRule(command.service), command);
    else if (command.op === 'edit-destination')
      edited.set(formatRule(command.service, command.destination), command);
  }
  for (const step of steps) {
    if (step.op === 'add-service' || step.op === 'edit-service') {
      const name = formatRule(step.service);
      const edit = edited.get(name);
      if (step.op === 'add-service' && removed.has(name)) continue;
      yield edit?.op === 'edit-service' ? { ...step, options: edit.options } : step;
    } else if (step.op === 'add-destination' || step.op === 'edit-destination') {
      const name = formatRule(step.service, step.destination);
      const edit = edited.get(name);
      // A destination that the file removes is edited while it drains.
      if (step.op === 'add-destination' && (removed.has(formatRule(step.service)) || removed.has(name)))
        continue;
      yield edit?.op === 'edit-destination' ? { ...step, options: edit.options } : step;
    } else yield step;
  }
}
