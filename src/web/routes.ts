/** What there is to GET, by path; answers that are asked for again at once are made once. */
import { CONTENT_TYPE, exposition } from '../metrics/exposition.ts';
import { SNAPSHOT_SCHEMA, snapshotDocument } from './api.ts';
import { degradation, notReady, type Observed } from './observed.ts';
import { page } from './page.ts';
import { PAGE_SCRIPT } from './page-script.ts';
import { PAGE_STYLE } from './page-style.ts';

/** ms for which one answer serves all who ask, so that asking often costs the packets nothing. */
const FRESH = 100;

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

type Make = () => Answer | Promise<Answer>;

export const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';

const ok = (type: string, body: string): Answer => ({ status: 200, type, body });
const json = (value: unknown): Answer => ok(JSON_TYPE, `${JSON.stringify(value)}\n`);

/** All but the stream of events. */
export function routesOf(observed: Observed): ReadonlyMap<string, () => Promise<Answer>> {
  const routes: Readonly<Record<string, Make>> = {
    '/': () => ok('text/html; charset=utf-8', page(observed)),
    '/page.css': () => ok('text/css; charset=utf-8', PAGE_STYLE),
    '/page.js': () => ok('text/javascript; charset=utf-8', PAGE_SCRIPT),
    '/metrics': async () => ok(CONTENT_TYPE, await exposition(observed.snapshot(), observed.surroundings())),
    '/api/v1/snapshot': () => json(snapshotDocument(observed)),
    '/api/v1/schema': () => json(SNAPSHOT_SCHEMA),
    '/healthz': () => ok(TEXT, 'alive\n'),
    '/readyz': () => {
      const why = notReady(observed.snapshot(), observed.surroundings());
      if (why !== undefined) return { status: 503, type: TEXT, body: `${why}\n` };
      const limit = degradation(observed.surroundings());
      return ok(TEXT, limit === undefined ? 'ready\n' : `ready, but degraded: ${limit}\n`);
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
    last.then(() => setTimeout(forget, FRESH).unref(), forget);
    return last;
  };
}
