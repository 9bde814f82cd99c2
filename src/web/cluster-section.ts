/** Renders the section of the status page about the cluster of directors. */
import type { ClusterGroup, ClusterMember, ClusterStatus } from '../model/cluster.ts';
import { isShort, type NodeRow, nodeRows, shortLine } from './cluster-state.ts';
import { short } from './figures.ts';
import { type Html, html } from './html.ts';

/** Maximum numbers of directors, of VIPs and addresses of each, and of events. */
const MAX_NODES = 100;
const MAX_LISTED = 8;
const MAX_EVENTS = 20;

export function clusterSection(status: ClusterStatus): Html {
  const { name, isReachable, generation, stored, groups, events } = status;
  const rows = nodeRows(status);
  const more = rows.length - MAX_NODES;
  const latest = events.slice(-MAX_EVENTS).reverse();
  return html`<section id="cluster" aria-labelledby="cluster-title">
<h2 id="cluster-title">Cluster ${name}</h2>
${isReachable ? undefined : html`<p class="bad"><span class="state">etcd cannot be reached</span> The rest is the last known state.</p>`}
<p>Generation ${generation} of the configuration is in effect here${stored === generation ? '' : `, etcd has ${stored}`}.</p>
<table class="nodes"><thead><tr><th scope="col">Director</th><th scope="col">State</th><th scope="col" class="number">Generation</th><th scope="col" class="number">Connections</th><th scope="col" class="number">New/s</th><th scope="col" class="number">In bit/s</th><th scope="col">Announces</th><th scope="col">Version</th><th scope="col">Addresses</th></tr></thead><tbody>
${rows.slice(0, MAX_NODES).map((row) => nodeRow(row, status.node))}</tbody></table>
${more > 0 ? html`<p>and ${more} more directors</p>` : undefined}
${groups.length > 0 ? groupTable(groups) : undefined}
<details><summary>Last events of the cluster</summary>
${latest.length === 0 ? html`<p>None.</p>` : undefined}
<ol class="events">
${latest.map(
  ({ time, node, event, text }) =>
    html`<li>${shortLine(time).slice(0, 19).replace('T', ' ')} <b>${node}</b> ${shortLine(event)} ${shortLine(text)}</li>
`,
)}</ol></details>
</section>
`;
}

function groupTable(groups: readonly ClusterGroup[]): Html {
  const sorted = [...groups].sort((a, b) => Number(isShort(b)) - Number(isShort(a)));
  return html`<table class="groups"><thead><tr><th scope="col">Group of VIPs</th><th scope="col">Announced by</th><th scope="col" class="number">Wanted</th><th scope="col">This director</th></tr></thead><tbody>
${sorted.map(
  (group) =>
    html`<tr class="${isShort(group) ? 'bad' : 'good'}"><th scope="row">${group.name}</th><td><span class="state">${group.holders.length}</span> ${group.holders.join(' ') || NONE}</td><td class="number">${group.wanted}</td><td>${group.role ?? NONE}</td></tr>
`,
)}</tbody></table>
`;
}

function nodeRow({ node, word, mood, why, member }: NodeRow, own: string): Html {
  const { generation, load, announced, version, addresses } = member ?? NOTHING;
  const figure = (name: string, value: number | undefined) =>
    html`<td class="number ${name}">${value === undefined ? NONE : short(value)}</td>`;
  return html`<tr class="${mood}${member ? '' : ' absent'}"><th scope="row">${node}${node === own ? html` <small>this one</small>` : undefined}</th><td><span class="state">${word}</span>${why === undefined ? undefined : html` <small>${why}</small>`}</td><td class="number g">${generation ?? NONE}</td>${figure('c', load?.connections)}${figure('n', load?.newConnections)}${figure('b', load && load.inOctets * 8)}<td class="vips">${announcedText(announced)}</td><td class="version">${version === undefined ? NONE : shortLine(version)}</td><td>${listed(addresses, addresses.length)}</td></tr>
`;
}

const NONE = '-';
const NOTHING: Partial<ClusterMember> & Pick<ClusterMember, 'addresses'> = { addresses: [] };

const announcedText = (announced: ClusterMember['announced']): string =>
  announced ? (announced.count === 0 ? 'none' : listed(announced.vips, announced.count)) : NONE;

/** `count`: the number of all, of which these are the first. */
function listed(texts: readonly string[], count: number): string {
  const shown = texts.slice(0, MAX_LISTED).map(shortLine);
  const more = count - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join(' ') || NONE;
}
