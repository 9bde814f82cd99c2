/** Renders the status page as HTML. The script only replaces it by newer versions. */

import { UPCALL_REASONS } from '../model/kernel-admission.ts';
import { formatDestination, formatRule, formatService, withName } from '../model/naming.ts';
import { Slice } from '../model/slice.ts';
import type { DestinationSnapshot, ServiceSnapshot, Snapshot, Traffic } from '../model/snapshot.ts';
import { DROP_REASONS, type DropReason } from '../model/verdict.ts';
import { quorumText, stateOf } from './destination-state.ts';
import type { LogEvent } from './events.ts';
import { duration, percent, short } from './figures.ts';
import { graphOf, shareBar } from './graph.ts';
import { type History, MAX_SERVICES } from './history.ts';
import { type Html, html } from './html.ts';
import { degradation, notReady, type Observed } from './observed.ts';

type Summary = Omit<Snapshot, 'services'>;

/** Maximum number of events on the page. */
const MAX_SHOWN_EVENTS = 30;

/** Resolves with the page in parts. Works in slices. */
export async function page(observed: Observed): Promise<string[]> {
  const summary = observed.summary();
  const surroundings = observed.surroundings();
  const why = notReady(observed.availability(), surroundings);
  const limit = degradation(surroundings);
  const { sections, down, hidden } = await servicesOf(observed);
  const head = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${why === undefined ? (down > 0 ? `${down} down` : 'ready') : 'not ready'}: lvs-director</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css">
<script src="/page.js" defer></script>
<noscript><meta http-equiv="refresh" content="10"></noscript>
</head>
<body>
<a class="skip" href="#services">Skip to the services</a>
<header>
<h1>lvs-director</h1>
<p role="status" class="${why === undefined && limit === undefined ? 'good' : 'bad'}">${why === undefined ? (limit === undefined ? 'ready' : `degraded: ${limit}`) : `not ready: ${why}`}${down > 0 ? html`, <strong>${down} down</strong>` : undefined}</p>
${summary.vrrp.map(({ type, name, state }) => html`<p>VRRP ${type.toLowerCase()} ${name}: <strong>${state}</strong></p>`)}
<p class="quiet"><span id="live">as of</span> <time datetime="${observed.now().toISOString()}">${observed.now().toISOString().slice(11, 19)} UTC</time></p>
</header>
<main>
${overview(summary, observed.history)}
<h2 id="services" tabindex="-1">Services</h2>
${sections.length === 0 ? html`<p>No services.</p>` : undefined}
`;
  const foot = html`
${hidden > 0 ? html`<p>${hidden} more services are not shown: see <a href="/api/v1/snapshot">JSON</a>.</p>` : undefined}
${drops(summary)}
${events(observed.events.latest)}
</main>
<footer>
<dl>
<div><dt>Datapath</dt><dd>${surroundings.datapath}${surroundings.running ? '' : ', not running'}</dd></div>
${surroundings.offload ? html`<div><dt>Kernel path</dt><dd>${short(surroundings.offload.forwarded)} packets forwarded, ${short(surroundings.offload.upcalls)} upcalls, ${short(surroundings.offload.admitted)} connections admitted, ${short(Object.values(surroundings.offload.leftToDirector).reduce((sum, left) => sum + left, 0))} by the process</dd></div>` : undefined}
${surroundings.offload?.adopted ? html`<div><dt>Taken over</dt><dd>${short(surroundings.offload.adopted.connections)} connections; forwarding without a director since ${surroundings.offload.adopted.since.slice(0, 19).replace('T', ' ')} UTC, for ${surroundings.offload.adopted.absence.toFixed(1)} s</dd></div>` : undefined}
<div><dt>Lost before the director</dt><dd>${short(Object.values(surroundings.losses).reduce((sum, lost) => sum + lost, 0))} packets</dd></div>
<div><dt>Event loop delay</dt><dd>${(surroundings.eventLoopDelay.p99 * 1000).toFixed(1)} ms (99th percentile)</dd></div>
<div><dt>Uptime</dt><dd>${duration(surroundings.uptime)}</dd></div>
<div><dt>Version</dt><dd>${surroundings.version}, Node.js ${surroundings.node}</dd></div>
</dl>
<p><a href="/metrics">metrics</a> · <a href="/api/v1/snapshot">JSON</a> · <a href="/api/v1/schema">schema</a></p>
</footer>
</body>
</html>
`;
  return [head.text, ...sections.map(({ text }) => text), foot.text];
}

/** Renders the first services, and counts the failed destinations of all services. */
async function servicesOf(observed: Observed) {
  const slice = new Slice();
  const sections: Html[] = [];
  let down = 0;
  let hidden = 0;
  for (const each of observed.services()) {
    if (slice.spent) await slice.next();
    for (const one of each.destinations) if (stateOf(one).mood === 'bad') down++;
    if (sections.length >= MAX_SERVICES) hidden++;
    else sections.push(serviceSection(each, `service-${sections.length + 1}`, observed.history));
  }
  return { sections, down, hidden };
}

function overview({ rates, table, drops: dropped }: Summary, history: History): Html {
  const lost = Object.values(dropped).reduce((sum, packets) => sum + packets, 0);
  const tile = (name: string, value: string, more = '') =>
    html`<div><dt>${name}</dt><dd>${value}<small> ${more}</small></dd></div>`;
  return html`<section aria-label="All services" class="overview">
<dl class="tiles">
${tile('New connections', short(rates.connections), '/s')}
${tile('Packets in', short(rates.inPackets), '/s')}
${tile('Packets out', short(rates.outPackets), '/s')}
${tile('Traffic in', short(rates.inOctets * 8), 'bit/s')}
${tile('Traffic out', short(rates.outOctets * 8), 'bit/s')}
${tile('Table entries', short(table.connections), `of ${short(table.capacity)}`)}
${tile('Dropped', short(lost), 'packets')}
</dl>
${graphOf(history.total)}
</section>`;
}

function serviceSection(each: ServiceSnapshot, id: string, history: History): Html {
  const { service, options, destinations, rates, admission, quorum } = each;
  const name = formatService(service);
  const gained = destinations.map((one) => history.gained(formatRule(service, one)));
  const allGained = gained.reduce((sum, one) => sum + one, 0);
  const weights = destinations.reduce((sum, { weight }) => sum + weight, 0);
  const words = [
    options.scheduler,
    ...(options.persistent ? [`persistent ${options.persistent} s`] : []),
    ...(options.engine ? [`engine ${options.engine}`] : []),
    ...(options.ops ? ['one packet'] : []),
    ...(admission === undefined || admission === 'kernel'
      ? []
      : [`admitted by the process: ${UPCALL_REASONS[admission]}`]),
    ...(quorum ? [quorumText(quorum)] : []),
  ];
  return html`<section class="service" aria-labelledby="${id}">
<header>
<h3 id="${id}">${withName(each.name, name)}</h3>
<p class="quiet">${words.join(', ')}</p>
<p>${traffic(rates)}</p>
${graphOf(history.service(name))}
</header>
<div class="scroll" role="region" tabindex="0" aria-label="Destinations of ${name}">
<table>
<thead><tr><th scope="col">Destination</th><th scope="col">State</th><th scope="col">Method</th><th scope="col" class="number">Weight</th><th scope="col" class="number">Active</th><th scope="col" class="number">Inactive</th><th scope="col" class="number">New/s</th><th scope="col" class="number">Packets/s<br>in, out</th><th scope="col" class="number">bit/s<br>in, out</th><th scope="col">Share of new connections<br>actual, expected</th></tr></thead>
<tbody>
${destinations.map((one, i) =>
  destinationRow(one, allGained > 0 ? gained[i]! / allGained : 0, weights > 0 ? one.weight / weights : 0),
)}
</tbody>
</table>
</div>
${destinations.length === 0 ? html`<p>No destinations.</p>` : undefined}
</section>`;
}

function destinationRow(one: DestinationSnapshot, share: number, wanted: number): Html {
  const { mood, word, why } = stateOf(one);
  const configured = one.check?.weight ?? one.configuredWeight ?? one.weight;
  const { rates } = one;
  return html`<tr class="${mood}"><th scope="row">${withName(one.name, formatDestination(one))}</th><td><span class="state">${word}</span>${why === undefined ? undefined : html` <small>${why}</small>`}</td><td>${one.method}</td><td class="number">${one.weight}${configured === one.weight ? undefined : html`<small> of ${configured}</small>`}</td><td class="number">${one.activeConnections}</td><td class="number">${one.inactiveConnections}</td><td class="number">${short(rates.connections)}</td><td class="number">${short(rates.inPackets)}, ${short(rates.outPackets)}</td><td class="number">${short(rates.inOctets * 8)}, ${short(rates.outOctets * 8)}</td><td class="shares">${shareBar(share, wanted)} ${percent(share)}, ${percent(wanted)}</td></tr>
`;
}

const traffic = (rates: Traffic): string =>
  `${short(rates.connections)} new/s, ${short(rates.inPackets)} packets/s in, ${short(rates.outPackets)} out`;

function drops({ drops: dropped }: Summary): Html {
  const rows = (Object.entries(dropped) as [DropReason, number][])
    .filter(([, packets]) => packets > 0)
    .sort(([, a], [, b]) => b - a);
  return html`<section aria-labelledby="drops">
<h2 id="drops">Dropped packets</h2>
${
  rows.length === 0
    ? html`<p>None.</p>`
    : html`<table><thead><tr><th scope="col">Reason</th><th scope="col" class="number">Packets</th><th scope="col">Meaning</th></tr></thead><tbody>
${rows.map(([reason, packets]) => html`<tr><th scope="row">${reason}</th><td class="number">${short(packets)}</td><td>${DROP_REASONS[reason]}</td></tr>`)}
</tbody></table>`
}
</section>`;
}

function events(latest: readonly LogEvent[]): Html {
  const shown = latest.slice(-MAX_SHOWN_EVENTS).reverse();
  return html`<section aria-labelledby="events">
<h2 id="events">Latest events</h2>
${shown.length === 0 ? html`<p>None.</p>` : undefined}
<ol class="events">
${shown.map(
  ({ time, level, event, fields }) =>
    html`<li class="${level}"><time datetime="${time}">${time.slice(11, 19)}</time> <strong>${event}</strong> ${Object.entries(
      fields,
    )
      .map(([name, value]) => `${name}: ${value}`)
      .join(', ')}</li>
`,
)}
</ol>
</section>`;
}
