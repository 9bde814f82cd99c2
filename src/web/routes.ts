/** Routes paths to the resources of the web interface. Concurrent requests share one answer. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CONTENT_TYPE, exposition } from '../metrics/exposition.ts';
import { Slice } from '../model/slice.ts';
import { packageFolder } from '../sys/package-folder.ts';
import { SNAPSHOT_SCHEMA, snapshotText } from './api.ts';
import { degradation, notReady, type Observed } from './observed.ts';
import { page, updateVersions } from './page.ts';
import { type PageUpdate, PageVersions } from './page-versions.ts';

/** Time for which one answer serves all requests, ms: frequent requests must not delay packets. */
const FRESH_MS = 100;

export interface Answer {
  readonly status: number;
  readonly type: string;
  /** Text in parts. */
  readonly body: readonly string[];
}

type Make = () => Answer | Promise<Answer>;

/** Returns the answer to a request with this query. */
export type Route = (query: URLSearchParams) => Promise<Answer>;

export const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json; charset=utf-8';

const ok = (type: string, body: readonly string[]): Answer => ({ status: 200, type, body });

/** Returns a file of the page, which the package has as it is. */
const asset = (name: string): string => readFileSync(join(packageFolder(), 'src/web/assets', name), 'utf8');

/** Returns all resources except the event stream. */
export function routesOf(observed: Observed): ReadonlyMap<string, Route> {
  const versions = new PageVersions();
  const routes: Readonly<Record<string, Make>> = {
    '/': async () => ok('text/html; charset=utf-8', await page(observed, versions)),
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
  const all = new Map<string, Route>(Object.entries(routes).map(([path, make]) => [path, shared(make)]));
  all.set('/page.json', pageUpdates(observed, versions));
  return all;
}

/** Returns the route of what browsers lack of the page. Browsers with the same version share an answer. */
function pageUpdates(observed: Observed, versions: PageVersions): Route {
  const render = shared(async () => {
    await updateVersions(observed, versions);
    return NOTHING;
  });
  let answers = new Map<string, Promise<Answer>>();
  let current = '';
  return async (query) => {
    await render();
    if (current !== versions.token) answers = new Map();
    current = versions.token;
    const since = query.get('since') ?? '';
    const key = versions.knows(since) ? since : '';
    const known = answers.get(key) ?? textOf(versions.since(key)).then((text) => ok(JSON_TYPE, text));
    answers.set(key, known);
    return known;
  };
}

/** Resolves with an update as JSON text in parts. Works in slices. */
async function textOf({ version, order, parts }: PageUpdate): Promise<string[]> {
  const slice = new Slice();
  const text = [`{"version":${JSON.stringify(version)},"order":${JSON.stringify(order)},"parts":{`];
  for (const [id, part] of Object.entries(parts)) {
    text.push(`${text.length > 1 ? ',' : ''}${JSON.stringify(id)}:${JSON.stringify(part)}`);
    if (slice.spent) await slice.next();
  }
  return [...text, '}}'];
}

const NOTHING = ok(TEXT, []);

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
