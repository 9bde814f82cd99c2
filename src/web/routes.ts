/** The resources of the web interface, by path; one answer serves requests that come at the same time. */
import { CONTENT_TYPE, exposition } from '../metrics/exposition.ts';
import { SNAPSHOT_SCHEMA, snapshotText } from './api.ts';
import { degradation, notReady, type Observed } from './observed.ts';
import { page } from './page.ts';
import { PAGE_SCRIPT } from './page-script.ts';
import { PAGE_STYLE } from './page-style.ts';

/** ms for which one answer serves all requests, so that frequent requests cost the packets nothing. */
const FRESH_MS = 100;

export interface Answer {
  readonly status: number;
  readonly type: string;
  /** Text in parts. */
  readonly body: readonly string[];
}

type Make = () => Answer | Promise<Answer>;

export const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';

const ok = (type: string, body: readonly string[]): Answer => ({ status: 200, type, body });

/** Returns all resources but the stream of events. */
export function routesOf(observed: Observed): ReadonlyMap<string, () => Promise<Answer>> {
  const routes: Readonly<Record<string, Make>> = {
    '/': async () => ok('text/html; charset=utf-8', [await page(observed)]),
    '/page.css': () => ok('text/css; charset=utf-8', [PAGE_STYLE]),
    '/page.js': () => ok('text/javascript; charset=utf-8', [PAGE_SCRIPT]),
    '/metrics': async () =>
      ok(CONTENT_TYPE, await exposition(await observed.snapshot(), observed.surroundings())),
    '/api/v1/snapshot': async () => ok(JSON_TYPE, await snapshotText(observed)),
    '/api/v1/schema': () => ok(JSON_TYPE, [`${JSON.stringify(SNAPSHOT_SCHEMA)}\n`]),
    '/healthz': () => ok(TEXT, ['alive\n']),
    '/readyz': () => {
      const why = notReady(observed.availability(), observed.surroundings());
      if (why !== undefined) return { status: 503, type: TEXT, body: [`${why}\n`] };
      // 200 all the same: a flood would otherwise take the VIP from every director, one after the other.
      const limit = degradation(observed.surroundings());
      return ok(TEXT, [limit === undefined ? 'ready\n' : `ready, but degraded: ${limit}\n`]);
    },
  };
  return new Map(Object.entries(routes).map(([path, make]) => [path, shared(make)]));
}

function shared(make: Make): () => Promise<Answer> {
  let last: Promise<Answer> | undefined;
  return () => {
    if (last) return last;
    last = Promise.resolve().then(make);
    const forget = () => {
      last = undefined;
    };
    last.then(() => setTimeout(forget, FRESH_MS).unref(), forget);
    return last;
  };
}
