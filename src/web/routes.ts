/** Routes paths to the resources of the web interface. Concurrent requests share one answer. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CONTENT_TYPE, exposition } from '../metrics/exposition.ts';
import { packageFolder } from '../sys/package-folder.ts';
import { SNAPSHOT_SCHEMA, snapshotText } from './api.ts';
import { degradation, notReady, type Observed } from './observed.ts';
import { page } from './page.ts';

/** Time for which one answer serves all requests, ms: frequent requests must not delay packets. */
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

/** Returns a file of the page, which the package has as it is. */
const asset = (name: string): string => readFileSync(join(packageFolder(), 'src/web/assets', name), 'utf8');

/** Returns all resources except the event stream. */
export function routesOf(observed: Observed): ReadonlyMap<string, () => Promise<Answer>> {
  const routes: Readonly<Record<string, Make>> = {
    '/': async () => ok('text/html; charset=utf-8', await page(observed)),
    '/page.css': () => ok('text/css; charset=utf-8', [asset('page.css')]),
    '/page.js': () => ok('text/javascript; charset=utf-8', [asset('page.js')]),
    '/metrics': async () =>
      ok(CONTENT_TYPE, await exposition(await observed.snapshot(), observed.surroundings())),
    '/api/v1/snapshot': async () => ok(JSON_TYPE, await snapshotText(observed)),
    '/api/v1/schema': () => ok(JSON_TYPE, [`${JSON.stringify(SNAPSHOT_SCHEMA)}\n`]),
    '/healthz': () => ok(TEXT, ['alive\n']),
    '/readyz': () => {
      const why = notReady(observed.availability(), observed.surroundings());
      if (why !== undefined) return { status: 503, type: TEXT, body: [`${why}\n`] };
      // Status 200: otherwise, a flood would make every director give up its VIP, one after another.
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
