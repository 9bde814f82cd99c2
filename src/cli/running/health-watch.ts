/** The watch of a running director: real probes, weights to the director, changes to the log. */
import { probes } from '../../checks/probe.ts';
import { type HealthEvent, Watch } from '../../checks/watch.ts';
import { endpointOf, keyOf } from '../../config/rule-words.ts';
import type { DirectorDoor } from '../../control/door.ts';
import type { Log } from './log.ts';

/** `door`: the director's own; weights that checks lower change nothing for its host. */
export const healthWatch = ({ door, log }: { readonly door: DirectorDoor; readonly log: Log }): Watch =>
  new Watch({
    probe: (target, signal) => probes[target.check.type](target, signal),
    random: Math.random,
    apply: (commands) => void door.apply(commands),
    event: (event) => tell(event, log),
  });

/** A state that is another one is worth a warning where it is for the worse. */
function tell({ service, destination, from, to, weight, cause }: HealthEvent, log: Log): void {
  const level = to === 'down' && from !== 'down' ? 'warning' : 'info';
  const what = { service: keyOf(service), destination: endpointOf(destination) };
  log(level, from === to ? 'check-weight' : `check-${to}`, { ...what, weight, cause });
}
