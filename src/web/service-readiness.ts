/** Answers /readyz?service=NAME: whether a service accepts new connections. */
import { acceptsConnections } from '../model/destination.ts';
import { formatService } from '../model/naming.ts';
import type { ServiceAddress } from '../model/service.ts';
import { Slice } from '../model/slice.ts';
import type { Observed } from './observed.ts';
import { type Answer, TEXT } from './routes.ts';

const OK = 200;
const NOT_FOUND = 404;
const NOT_READY = 503;

/**
 * Resolves with the answer about a service, by its name in the configuration or `tcp:192.0.2.1:80`, `mark:7`. Works in
 * slices.
 */
export async function serviceReadiness(observed: Observed, name: string): Promise<Answer> {
  const answer = (status: number, text: string): Answer => ({ status, type: TEXT, body: [`${text}\n`] });
  const slice = new Slice();
  for (const { service, name: given, destinations } of observed.services()) {
    if (slice.spent) await slice.next();
    if (given !== name && !isNamed(service, name)) continue;
    if (!observed.surroundings().running) return answer(NOT_READY, 'the datapath is not running');
    return destinations.some((one) => !one.removed && acceptsConnections(one))
      ? answer(OK, 'ready')
      : answer(NOT_READY, 'no destination accepts new connections');
  }
  return answer(
    NOT_FOUND,
    'service not found: expected its name in lvs.yaml, or one such as tcp:192.0.2.1:80 or mark:7',
  );
}

const isNamed = (service: ServiceAddress, name: string): boolean =>
  formatService(service).replace(' ', ':') === name.replace(' ', ':').toLowerCase();
