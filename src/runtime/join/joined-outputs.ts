/** What outputs say of destinations whose servers have joined by themselves. */
import type { DestinationAddress } from '../../model/destination.ts';
import type { Candidate, Explanation } from '../../model/explanation.ts';
import type { JoinedSnapshot } from '../../model/joined.ts';
import { joinedWords } from '../../model/joined.ts';
import type { ServiceAddress } from '../../model/service.ts';
import type { ServiceSnapshot } from '../../model/snapshot.ts';

/** Returns a service with what is known of its destinations that joined. */
export const withJoined = (
  service: ServiceSnapshot,
  of: (destination: DestinationAddress) => JoinedSnapshot | undefined,
): ServiceSnapshot => ({
  ...service,
  destinations: service.destinations.map((each) => {
    const joined = of(each);
    return joined ? { ...each, joined } : each;
  }),
});

/** Returns an explanation in which a destination of weight 0 names the announcement that caused it. */
export function explainedWithJoined(
  explanation: Explanation,
  of: (service: ServiceAddress, destination: DestinationAddress) => JoinedSnapshot | undefined,
): Explanation {
  let service: ServiceAddress | undefined;
  const explained = (it: Candidate): Candidate => {
    const joined = service && it.weight === 0 ? of(service, it) : undefined;
    if (!joined || (joined.state === 'up' && joined.weight > 0) || joined.state === 'kept') return it;
    return { ...it, why: joinedWords(joined) };
  };
  const steps = explanation.steps.map((step) => {
    if (step.step === 'service') service = step.service;
    return step.step === 'scheduler' ? { ...step, candidates: step.candidates.map(explained) } : step;
  });
  return { ...explanation, steps };
}
