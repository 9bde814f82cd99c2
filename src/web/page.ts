/** Renders the status page as HTML. The script only replaces its parts by newer versions. */
import { formatService } from '../model/naming.ts';
import { Slice } from '../model/slice.ts';
import type { ServiceSnapshot } from '../model/snapshot.ts';
import { clusterSection } from './cluster-section.ts';
import { MAX_SERVICES } from './history.ts';
import { type Html, html } from './html.ts';
import type { Observed } from './observed.ts';
import { drops, events, footer, header, overview } from './page-sections.ts';
import { type PagePart, PageVersions } from './page-versions.ts';
import { Problems } from './problems.ts';
import { idOf, serviceSection } from './service-section.ts';
import { type ServiceState, stateOfService } from './service-state.ts';

/** Up to this number, all services, or all with problems, show their destinations at first. */
const MAX_OPEN = 6;

/** Resolves with the page in parts, and records these in `versions`. Works in slices. */
export async function page(observed: Observed, versions = new PageVersions()): Promise<string[]> {
  const parts = await partsOf(observed);
  versions.update(parts);
  const [head, above, services, below, foot] = divided(parts);
  const title = /data-title="([^"]*)"/.exec(head!)![1]!;
  const { version } = observed.surroundings();
  return [
    `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css">
<script src="/page.js" defer></script>
<noscript><meta http-equiv="refresh" content="10"></noscript>
</head>
${html`<body data-version="${versions.token}" data-build="${version}">`.text}
<a class="skip" href="#services">Skip to the services</a>
${head}<main>
${above}${TOOLS.text}
<div id="list">
`,
    ...services,
    `</div>
<p id="none"${services.length > 0 ? ' hidden' : ''}>${services.length > 0 ? 'No service matches the filter.' : 'No services.'}</p>
${below}</main>
${foot}</body>
</html>
`,
  ];
}

/** Renders all parts, and records them in `versions`. Works in slices. */
export async function updateVersions(observed: Observed, versions: PageVersions): Promise<void> {
  versions.update(await partsOf(observed));
}

/** The heading of the services, and the controls, which the script shows. */
const TOOLS = html`<div class="bar">
<h2 id="services" tabindex="-1">Services</h2>
<div id="tools" role="search" hidden>
<label>Filter <input id="filter" type="search" placeholder="name, address or state" autocomplete="off" spellcheck="false" maxlength="200"></label>
<label>Show <select id="show"><option value="">all</option><option value="problems">problems</option><option value="no-check">no check</option></select></label>
<label>Sort <select id="sort"><option value="">problems first</option><option value="order">order of the file</option><option value="name">name</option><option value="new">new connections</option><option value="traffic">traffic</option></select></label>
<span class="buttons"><button type="button" id="expand">Expand all</button> <button type="button" id="collapse">Collapse all</button></span>
<output id="found"></output>
</div>
</div>`;

const PLACES = {
  head: 0,
  overview: 1,
  problems: 1,
  hidden: 3,
  cluster: 3,
  drops: 3,
  events: 3,
  foot: 4,
} as const;

/** Returns header, what is above the services, each service, what is below, and the footer. */
function divided(parts: readonly PagePart[]): [string, string, string[], string, string] {
  const texts = ['', '', '', '', ''];
  const services: string[] = [];
  for (const { id, html: part } of parts) {
    const place = Object.hasOwn(PLACES, id) ? PLACES[id as keyof typeof PLACES] : undefined;
    if (place === undefined) services.push(deferred(part.text));
    else texts[place] += part.text;
  }
  return [texts[0]!, texts[1]!, services, texts[3]!, texts[4]!];
}

const SUMMARY_END = '</summary>';
const SERVICE_END = '</details>\n';

/**
 * Returns a service whose servers, if it is closed, are elements only for a browser without scripts (noscript): elements take most
 * of the time for a page of many services. The script draws them when they are shown.
 */
function deferred(text: string): string {
  if (/^<details[^>]* open>/.test(text)) return text;
  const start = text.indexOf(SUMMARY_END) + SUMMARY_END.length;
  const servers = text.slice(start, -SERVICE_END.length);
  return `${text.slice(0, start)}<noscript>${servers}</noscript>${SERVICE_END}`;
}

async function partsOf(observed: Observed): Promise<readonly PagePart[]> {
  const summary = observed.summary();
  const { shown, problems, count } = await servicesOf(observed);
  const isFew = shown.length <= MAX_OPEN;
  const isOpen = isFew || shown.filter(({ state }) => state.rank < 2).length <= MAX_OPEN;
  const slice = new Slice();
  const services: PagePart[] = [];
  for (const { each, state, order } of shown) {
    const open = isFew || (isOpen && state.rank < 2);
    services.push({ id: idOf(each), html: serviceSection(each, state, observed.history, order, open) });
    if (slice.spent) await slice.next();
  }
  const hidden = count - shown.length;
  const more = html`<p id="hidden">${hidden} more services are not shown: see <a href="/api/v1/snapshot">JSON</a>.</p>
`;
  const trouble = problems.render();
  const { cluster } = observed.surroundings();
  const optional = (id: string, part: Html | undefined): PagePart[] => (part ? [{ id, html: part }] : []);
  return [
    { id: 'head', html: header(observed, summary, problems, count) },
    { id: 'overview', html: overview(summary, observed.history) },
    ...optional('problems', trouble),
    ...services,
    ...optional('hidden', hidden > 0 ? more : undefined),
    ...optional('cluster', cluster && clusterSection(cluster)),
    { id: 'drops', html: drops(summary) },
    { id: 'events', html: events(observed.events.latest) },
    { id: 'foot', html: footer(observed.surroundings()) },
  ];
}

interface Shown {
  readonly each: ServiceSnapshot;
  readonly state: ServiceState;
  /** Its place in the order of the file. */
  readonly order: number;
}

/** Returns the services that the page shows, problems first, and what is wrong with all of them. Works in slices. */
async function servicesOf(observed: Observed) {
  const slice = new Slice();
  const problems = new Problems();
  const all: Omit<Shown, 'order'>[] = [];
  let count = 0;
  for (const each of observed.services()) {
    if (slice.spent) await slice.next();
    count++;
    const state = stateOfService(each);
    problems.add(each, state, each.name ?? formatService(each.service));
    if (all.length < MAX_SERVICES) all.push({ each, state });
  }
  const position = ({ each }: Omit<Shown, 'order'>) => each.position ?? Number.MAX_SAFE_INTEGER;
  const shown = all
    .sort((a, b) => position(a) - position(b))
    .map((one, order): Shown => ({ ...one, order }))
    .sort((a, b) => a.state.rank - b.state.rank);
  return { shown, problems, count };
}
