/** Renders a service of the status page: a line with its state, and its destinations, which it hides or shows. */
import { UPCALL_REASONS } from '../model/kernel-admission.ts';
import { formatDestination, formatRule, formatService } from '../model/naming.ts';
import type { DestinationSnapshot, ServiceSnapshot } from '../model/snapshot.ts';
import { quorumText, stateOf } from './destination-state.ts';
import { percent, short } from './figures.ts';
import { graphOf, shareBar } from './graph.ts';
import type { History } from './history.ts';
import { type Html, html } from './html.ts';
import type { ServiceState } from './service-state.ts';

/** Returns the ID of a service's element, unique among services. */
export const idOf = ({ service }: ServiceSnapshot): string =>
  `s-${formatService(service).replaceAll(' ', '-')}`;

/** Returns destinations in the order of the file; those that it does not have follow, oldest first. */
const inOrder = (destinations: readonly DestinationSnapshot[]): readonly DestinationSnapshot[] =>
  destinations.toReversed().sort((a, b) => (a.position ?? Infinity) - (b.position ?? Infinity) || 0);

/** `order`: its place on the page in the order of the file. `isOpen`: its destinations are shown at first. */
export function serviceSection(
  each: ServiceSnapshot,
  state: ServiceState,
  history: History,
  order: number,
  isOpen: boolean,
): Html {
  const { service, name, options, rates, admission, quorum } = each;
  const address = formatService(service);
  const destinations = inOrder(each.destinations);
  const gained = destinations.map((one) => history.gained(formatRule(service, one)));
  const allGained = gained.reduce((sum, one) => sum + one, 0);
  const weights = destinations.reduce((sum, { weight }) => sum + weight, 0);
  const active = destinations.reduce((sum, one) => sum + one.activeConnections, 0);
  const unchecked = destinations.filter(({ check }) => !check).length;
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
  const figures = html`<span class="figure"><b>${short(active)}</b> active</span><span class="figure"><b>${short(rates.connections)}</b> new/s</span><span class="figure"><b>${short(rates.inOctets * 8)}</b> bit/s in</span><span class="figure"><b>${short(rates.outOctets * 8)}</b> bit/s out</span>`;
  return html`<details class="service ${state.mood}" id="${idOf(each)}" data-order="${order}" data-rank="${state.rank}" data-name="${name ?? address}" data-unchecked="${unchecked}" data-new="${Math.round(rates.connections)}" data-traffic="${Math.round(rates.inOctets + rates.outOctets)}"${isOpen ? OPEN : undefined}>
<summary><span class="title"><h3>${name ?? address}</h3>${name === undefined ? undefined : html`<span class="address">${address}</span>`}</span><span class="health"><span class="state">${state.word}</span> ${state.accepting} of ${state.total}${state.why === undefined ? undefined : html`<small>${state.why}</small>`}</span>${figures}${graphOf(history.service(address))}</summary>
<p class="quiet">${words.join(', ')}</p>
${
  destinations.length === 0
    ? html`<p>No destinations.</p>`
    : html`<div class="scroll" role="region" tabindex="0" aria-label="Destinations of ${name ?? address}">
<table>
${HEAD}
<tbody>
${destinations.map((one, i) =>
  destinationRow(one, allGained > 0 ? gained[i]! / allGained : 0, weights > 0 ? one.weight / weights : 0),
)}</tbody>
</table>
</div>`
}
</details>
`;
}

const OPEN = html` open`;
const HEAD = html`<thead><tr><th scope="col">Server</th><th scope="col">State</th><th scope="col">Method</th><th scope="col" class="number">Weight</th><th scope="col" class="number">Active</th><th scope="col" class="number">Inactive</th><th scope="col" class="number">New/s</th><th scope="col" class="number">Packets/s in, out</th><th scope="col" class="number">bit/s in, out</th><th scope="col">Share: actual, expected</th></tr></thead>`;

function destinationRow(one: DestinationSnapshot, share: number, wanted: number): Html {
  const { mood, word, why } = stateOf(one);
  const configured = one.check?.weight ?? one.configuredWeight ?? one.weight;
  const { rates } = one;
  const endpoint = formatDestination(one);
  const title =
    one.name === undefined ? html`${endpoint}` : html`${one.name} <span class="address">${endpoint}</span>`;
  return html`<tr class="${mood}"><th scope="row">${title}</th><td><span class="state">${word}</span>${why === undefined ? undefined : html` <small>${why}</small>`}</td><td>${one.method}</td><td class="number w">${one.weight}${configured === one.weight ? undefined : html`<small> of ${configured}</small>`}</td><td class="number a">${short(one.activeConnections)}</td><td class="number i">${short(one.inactiveConnections)}</td><td class="number n">${short(rates.connections)}</td><td class="number p">${short(rates.inPackets)}, ${short(rates.outPackets)}</td><td class="number b">${short(rates.inOctets * 8)}, ${short(rates.outOctets * 8)}</td><td class="shares">${shareBar(share, wanted)} ${percent(share)}, ${percent(wanted)}</td></tr>
`;
}
