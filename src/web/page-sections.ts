/** Renders the parts of the status page that are not services: header, figures of all services, drops, events, footer. */
import type { AccessCounts } from '../model/access-list.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Surroundings } from '../model/surroundings.ts';
import { DROP_REASONS, type DropReason } from '../model/verdict.ts';
import { clusterLine, isWell } from './cluster-state.ts';
import { type EventGroup, groupsOf } from './event-groups.ts';
import type { LogEvent } from './events.ts';
import { duration, short } from './figures.ts';
import { graphOf } from './graph.ts';
import type { History } from './history.ts';
import { type Html, html } from './html.ts';
import { degradation, notReady, type Observed } from './observed.ts';
import type { Problems } from './problems.ts';

export type Summary = Omit<Snapshot, 'services'>;

/** Maximum number of groups of events on the page, and of events that a group lists. */
const MAX_GROUPS = 30;
const MAX_LISTED = 20;

const sumOf = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);

const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;

/** `services`: the number of all services. */
export function header(observed: Observed, summary: Summary, problems: Problems, services: number): Html {
  const surroundings = observed.surroundings();
  const why = notReady(observed.availability(), surroundings);
  const limit = degradation(surroundings);
  const { unserved, down } = problems;
  const without = `${unserved} of ${counted(services, 'service')} without a server`;
  const status =
    why === undefined
      ? [unserved > 0 ? without : 'ready', ...(limit === undefined ? [] : [`degraded: ${limit}`])].join(', ')
      : `not ready: ${why}`;
  const isGood = why === undefined && limit === undefined && unserved === 0;
  const failed = down > 0 ? `${counted(down, 'destination')} down` : '';
  const short = why === undefined ? (unserved > 0 ? without : failed || 'ready') : 'not ready';
  const { cluster } = surroundings;
  const now = observed.now().toISOString();
  return html`<header id="head" data-title="${short}: lvs-director" data-build="${surroundings.version}">
<h1>lvs-director</h1>
<p role="status" class="${isGood ? 'good' : 'bad'}">${status}${failed === '' ? undefined : html`, <strong>${failed}</strong>`}</p>
${summary.vrrp.map(({ type, name, state }) => html`<p>VRRP ${type.toLowerCase()} ${name}: <strong>${state}</strong></p>`)}
${cluster ? html`<p>Cluster <a href="#cluster">${cluster.name}</a>: <span class="${isWell(cluster) ? 'well' : 'unwell'}">${clusterLine(cluster)}</span></p>` : undefined}
<p class="quiet"><span id="live">as of</span> <time datetime="${now}">${now.slice(11, 19)} UTC</time></p>
</header>
`;
}

export function overview({ rates, table, drops: dropped }: Summary, history: History): Html {
  const tile = (name: string, value: string, more = '') =>
    html`<div><dt>${name}</dt><dd>${value}<small> ${more}</small></dd></div>`;
  return html`<section id="overview" aria-label="All services" class="overview">
<dl class="tiles">
${tile('New connections', short(rates.connections), '/s')}
${tile('Packets in', short(rates.inPackets), '/s')}
${tile('Packets out', short(rates.outPackets), '/s')}
${tile('Traffic in', short(rates.inOctets * 8), 'bit/s')}
${tile('Traffic out', short(rates.outOctets * 8), 'bit/s')}
${tile('Table entries', short(table.connections), `of ${short(table.capacity)}`)}
${tile('Dropped', short(sumOf(dropped)), 'packets')}
</dl>
${graphOf(history.total)}
</section>
`;
}

export function drops({ drops: dropped }: Summary): Html {
  const rows = (Object.entries(dropped) as [DropReason, number][])
    .filter(([, packets]) => packets > 0)
    .sort(([, a], [, b]) => b - a);
  return html`<section id="drops" aria-labelledby="drops-title">
<h2 id="drops-title">Dropped packets</h2>
${
  rows.length === 0
    ? html`<p>None.</p>`
    : html`<table><thead><tr><th scope="col">Reason</th><th scope="col" class="number">Packets</th><th scope="col">Meaning</th></tr></thead><tbody>
${rows.map(([reason, packets]) => html`<tr><th scope="row">${reason}</th><td class="number">${short(packets)}</td><td>${DROP_REASONS[reason]}</td></tr>`)}
</tbody></table>`
}
</section>
`;
}

export function events(latest: readonly LogEvent[]): Html {
  const groups = groupsOf(latest, MAX_GROUPS);
  return html`<section id="events" aria-labelledby="events-title">
<h2 id="events-title">Latest events</h2>
${groups.length === 0 ? html`<p>None.</p>` : undefined}
<ol class="events">
${groups.map(groupItem)}</ol>
</section>
`;
}

function groupItem({ events: its, common }: EventGroup): Html {
  const last = its.at(-1)!;
  const { level, event, fields, time } = last;
  const id = `e-${its[0]!.id}`;
  const stamp = html`<time datetime="${time}">${time.slice(11, 19)}</time> <strong>${event}</strong>`;
  if (its.length === 1)
    return html`<li class="${level}" id="${id}">${stamp} ${fieldsText(fields)}</li>
`;
  const listed = its.slice(-MAX_LISTED).reverse();
  const left = its.length - listed.length;
  return html`<li class="${level}" id="${id}"><details><summary>${stamp} <b>${its.length} times</b> ${fieldsText(common)}</summary>
<ul>${listed.map(
    (one) => html`<li>${one.time.slice(11, 19)} ${fieldsText(differing(one.fields, common))}</li>
`,
  )}${left > 0 ? html`<li>and ${left} earlier</li>` : undefined}</ul></details></li>
`;
}

const differing = (fields: LogEvent['fields'], common: LogEvent['fields']): LogEvent['fields'] =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => !(name in common)));

const fieldsText = (fields: LogEvent['fields']): string =>
  Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ');

const accessText = ({ deny, allow, commanded }: AccessCounts): string =>
  `${deny + commanded} entries, ${commanded} of them by commands; ${allow} in allow lists`;

export function footer(its: Surroundings): Html {
  const { offload } = its;
  const { adopted } = its.restart;
  return html`<footer id="foot">
<dl>
<div><dt>Datapath</dt><dd>${its.datapath}${its.running ? '' : ', not running'}</dd></div>
${offload ? html`<div><dt>Kernel path</dt><dd>${short(offload.forwarded)} packets forwarded, ${short(offload.upcalls)} upcalls, ${short(offload.admitted)} connections admitted, ${short(sumOf(offload.leftToDirector))} by the process</dd></div>` : undefined}
${adopted ? html`<div><dt>Taken over</dt><dd>${short(adopted.connections)} connections; without a director since ${adopted.since.slice(0, 19).replace('T', ' ')} UTC, for ${adopted.absence.toFixed(1)} s</dd></div>` : undefined}
<div><dt>Deny lists</dt><dd>${accessText(its.access)}</dd></div>
<div><dt>Lost before the director</dt><dd>${short(sumOf(its.losses))} packets</dd></div>
<div><dt>Event loop delay</dt><dd>${(its.eventLoopDelay.p99 * 1000).toFixed(1)} ms (99th percentile)</dd></div>
<div><dt>Uptime</dt><dd>${duration(its.uptime)}</dd></div>
<div><dt>Version</dt><dd>${its.version}, Node.js ${its.node}</dd></div>
</dl>
<p><a href="/metrics">metrics</a> · <a href="/api/v1/snapshot">JSON</a> · <a href="/api/v1/schema">schema</a></p>
</footer>
`;
}
