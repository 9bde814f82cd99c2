/** Answers requests of the control protocol, line by line, without the socket. */
import { type ErrorCode, LvsError } from '../model/errors.ts';
import { Slice } from '../model/slice.ts';
import type { ServiceSnapshot } from '../model/snapshot.ts';
import type { ConfigurationApi, DirectorApi, PacketApi } from './director-api.ts';
import type { OperationsApi } from './operations-api.ts';
import { type Answer, parseRequest } from './protocol.ts';

/** Services and destinations, or commands, in a line of an answer; formatting a line takes about 1 ms. */
const SERVICES_PER_LINE = 200;
const COMMANDS_PER_LINE = 200;

/**
 * Yields the lines of the answer to a request, in slices. An error is the last line: `failed` is called, and the
 * connection must be closed.
 */
export async function* answerTo(
  line: string,
  api: DirectorApi,
  failed: (error: unknown) => void,
): AsyncGenerator<string> {
  try {
    const slice = new Slice();
    for await (const answer of answersTo(line, api)) {
      yield `${JSON.stringify(answer)}\n`;
      if (slice.spent) await slice.next();
    }
  } catch (error) {
    failed(error);
    const code: ErrorCode = error instanceof LvsError ? error.code : 'IO';
    const message = error instanceof LvsError ? error.message : "internal error (see the director's log)";
    yield `${JSON.stringify({ error: { code, message } } satisfies Answer)}\n`;
  }
}

async function* answersTo(line: string, api: DirectorApi): AsyncGenerator<Answer> {
  const request = parseRequest(line);
  switch (request.ask) {
    case 'apply':
      yield {
        outcomes: (await api.apply(request.commands, request.isLocal)).map((outcome) => outcome ?? null),
      };
      break;
    case 'snapshot': {
      const { services, ...snapshot } = await api.snapshot(request.parts);
      yield { snapshot };
      const weigh = ({ destinations }: ServiceSnapshot) => 1 + destinations.length;
      yield* inParts(services, SERVICES_PER_LINE, (part) => ({ services: part }), weigh);
      break;
    }
    case 'connections':
      for await (const connections of api.connections()) yield { connections };
      break;
    case 'reload':
      yield { reloaded: await configurationOf(api).reload() };
      break;
    case 'configured': {
      const { commands, ...configured } = await configurationOf(api).configured();
      yield { configured };
      yield* inParts(
        commands,
        COMMANDS_PER_LINE,
        (part) => ({ commands: part }),
        () => 1,
      );
      break;
    }
    case 'stop':
    case 'stop-keep':
      yield await stopOf(api)(request.ask === 'stop-keep').then(({ instance, keeps }) => ({
        stopping: instance,
        keeps,
      }));
      break;
    case 'drain':
      yield { drained: [await operationsOf(api).drain(request.server)] };
      break;
    case 'undrain':
      yield { drained: [await operationsOf(api).undrain(request.server)] };
      break;
    case 'drained':
      yield { drained: await operationsOf(api).drained() };
      break;
    case 'deny':
      yield { denied: await operationsOf(api).deny(request.request) };
      break;
    case 'undeny': {
      const { address, service } = request.request;
      yield { denied: await operationsOf(api).undeny(address, service) };
      break;
    }
    case 'denied':
      yield { denyListing: await operationsOf(api).denied() };
      break;
    case 'announce':
    case 'withdraw':
    case 'announcements':
      yield { announcements: await operationsOf(api)[request.ask]() };
      break;
    case 'cluster':
      yield { cluster: (await api.cluster?.()) ?? null };
      break;
    case 'joined':
      yield* inParts(
        await operationsOf(api).joined(),
        SERVICES_PER_LINE,
        (part) => ({ joined: part }),
        () => 1,
      );
      break;
    case 'explain':
      yield { explanation: await packetsOf(api).explain(Buffer.from(request.octets, 'base64')) };
      break;
    case 'capture':
      for await (const captured of packetsOf(api).capture(request.service)) yield { captured };
      break;
    default:
      request satisfies never;
  }
  yield { end: true };
}

function configurationOf({ configuration }: DirectorApi): ConfigurationApi {
  if (configuration) return configuration;
  throw new LvsError('UNAVAILABLE', 'configuration: not available on this director');
}

function stopOf({ stop }: DirectorApi): NonNullable<DirectorApi['stop']> {
  if (stop) return stop;
  throw new LvsError('UNAVAILABLE', 'stop: not available on this director');
}

function operationsOf({ operations }: DirectorApi): OperationsApi {
  if (operations) return operations;
  throw new LvsError('UNAVAILABLE', 'drains and deny lists: not available on this director');
}

function packetsOf({ packets }: DirectorApi): PacketApi {
  if (packets) return packets;
  throw new LvsError('UNAVAILABLE', 'packet inspection is not available on this director');
}

/** Yields answers with parts of a list, each of a weight of about `max`. */
function* inParts<T>(
  items: Iterable<T>,
  max: number,
  answer: (part: readonly T[]) => Answer,
  weigh: (item: T) => number,
): Generator<Answer> {
  let part: T[] = [];
  let weight = 0;
  for (const item of items) {
    part.push(item);
    weight += weigh(item);
    if (weight < max) continue;
    yield answer(part);
    part = [];
    weight = 0;
  }
  if (part.length > 0) yield answer(part);
}
