/** `lvs-director drain` and `undrain`: take a server out of service, wait for its connections, and return it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { DrainedServer, OperationsApi } from '../../control/operations-api.ts';

/** ms between two looks at the connections of a server. */
const POLL_MS = 500;

export interface DrainOptions {
  /** Waits until the server has no connections. */
  readonly wait: boolean;
  /** Seconds to wait at most. */
  readonly timeout: number;
}

type Api = Pick<OperationsApi, 'drain' | 'drained'>;

/** Drains a server; returns false if it still has connections after the timeout. Throws LvsError. */
export async function drain(
  server: string,
  { wait, timeout }: DrainOptions,
  api: Api,
  print: (text: string) => void,
): Promise<boolean> {
  let now = await api.drain(server);
  print(`${lineOf(now)}\n`);
  if (!wait) return true;
  const deadline = performance.now() + timeout * 1000;
  while (isBusy(now)) {
    const left = deadline - performance.now();
    if (left <= 0) {
      print(`${now.server}: not idle after ${timeout} s, remains drained: ${countsOf(now)}\n`);
      return false;
    }
    await sleep(Math.min(POLL_MS, left));
    const found = (await api.drained()).find((each) => each.server === now.server);
    if (!found) {
      print(`${now.server}: another command ended the drain\n`);
      return false;
    }
    now = found;
  }
  print(`${now.server}: idle\n`);
  return true;
}

/** Ends the drain of a server. Throws LvsError. */
export async function undrain(
  server: string,
  api: Pick<OperationsApi, 'undrain'>,
  print: (text: string) => void,
): Promise<void> {
  const { server: name, services } = await api.undrain(server);
  print(`${name}: in service: ${namesOf(services)}\n`);
}

/** Prints the drained servers. Throws LvsError. */
export async function listDrained(
  api: Pick<OperationsApi, 'drained'>,
  print: (text: string) => void,
): Promise<void> {
  const all = await api.drained();
  print(all.length === 0 ? 'no server is drained\n' : all.map((each) => `${lineOf(each)}\n`).join(''));
}

const isBusy = ({ connections, templates }: DrainedServer): boolean => connections + templates > 0;

function lineOf(drained: DrainedServer): string {
  const { server, services, refusing } = drained;
  const line = `${server}: drained: ${namesOf(services)}: ${countsOf(drained)}`;
  if (refusing.length === 0) return line;
  return `${line}\n${server}: clients that are hashed to it are refused by ${namesOf(refusing)} (flags sh-fallback, mh-fallback)`;
}

/** Services that a line names. */
const MAX_NAMED = 8;

function namesOf(services: readonly string[]): string {
  if (services.length === 0) return 'in no service now';
  const more = services.length - MAX_NAMED;
  return `${services.slice(0, MAX_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function countsOf({ connections, templates }: DrainedServer): string {
  const more = templates > 0 ? `, ${templates} templates that select it (expire_quiescent_template)` : '';
  return `${connections} connections${more}`;
}
