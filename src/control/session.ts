/** One request's answer, line by line: the protocol on the director's side, without the socket. */
import { type ErrorCode, LvsError } from '../model/errors.ts';
import type { ServiceSnapshot } from '../model/snapshot.ts';
import type { ConfigurationDoor, DirectorDoor, PacketDoor } from './director-api.ts';
import { type Answer, parseRequest } from './protocol.ts';

/** Services and destinations in one line of an answer, about. */
const PER_LINE = 500;

/** Answers a request. An error is an answer too; `failed` says so, and that the client is not to be heard any more. */
export async function* answerTo(
  line: string,
  door: DirectorDoor,
  failed: (error: unknown) => void,
): AsyncGenerator<string> {
  try {
    for await (const answer of answersTo(line, door)) yield `${JSON.stringify(answer)}\n`;
  } catch (error) {
    failed(error);
    const code: ErrorCode = error instanceof LvsError ? error.code : 'IO';
    const message = error instanceof LvsError ? error.message : 'the director failed to answer';
    yield `${JSON.stringify({ error: { code, message } } satisfies Answer)}\n`;
  }
}

async function* answersTo(line: string, door: DirectorDoor): AsyncGenerator<Answer> {
  const request = parseRequest(line);
  switch (request.ask) {
    case 'apply':
      yield { outcomes: (await door.apply(request.commands)).map((outcome) => outcome ?? null) };
      break;
    case 'snapshot': {
      const { services, ...snapshot } = await door.snapshot(request.parts);
      yield { snapshot };
      yield* servicesAnswers(services);
      break;
    }
    case 'connections':
      for await (const connections of door.connections()) yield { connections };
      break;
    case 'reload':
      yield { reloaded: await configurationOf(door).reload() };
      break;
    case 'configured':
      yield { configured: await configurationOf(door).configured() };
      break;
    case 'explain':
      yield { explanation: await packetsOf(door).explain(Buffer.from(request.octets, 'base64')) };
      break;
    case 'capture':
      for await (const captured of packetsOf(door).capture(request.service)) yield { captured };
      break;
    default:
      request satisfies never;
  }
  yield { end: true };
}

function configurationOf({ configuration }: DirectorDoor): ConfigurationDoor {
  if (configuration) return configuration;
  throw new LvsError('UNAVAILABLE', 'this director has no configuration file');
}

function packetsOf({ packets }: DirectorDoor): PacketDoor {
  if (packets) return packets;
  throw new LvsError('UNAVAILABLE', 'this director lets nobody look at its packets');
}

function* servicesAnswers(services: readonly ServiceSnapshot[]): Generator<Answer> {
  let line: ServiceSnapshot[] = [];
  let size = 0;
  for (const service of services) {
    line.push(service);
    size += 1 + service.destinations.length;
    if (size < PER_LINE) continue;
    yield { services: line };
    line = [];
    size = 0;
  }
  if (line.length > 0) yield { services: line };
}
