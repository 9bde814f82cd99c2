/** Collects what is wrong with services and servers: one entry for each cause. */
import { formatDestination } from '../model/naming.ts';
import type { ServiceSnapshot } from '../model/snapshot.ts';
import { stateOf } from './destination-state.ts';
import { type Html, html } from './html.ts';
import { idOf } from './service-section.ts';
import type { ServiceState } from './service-state.ts';

/** Maximum numbers of entries, and of services that an entry names. */
const MAX_ENTRIES = 12;
const MAX_SERVICES = 4;

interface Affected {
  readonly id: string;
  readonly name: string;
}

/** A failed server. */
interface Failure {
  readonly server: string;
  readonly why: string;
  readonly services: Affected[];
  isEntry: boolean;
}

export class Problems {
  /** Services without a server: their servers are no entries, unless other services lack them, too. */
  readonly #services: (Affected & { readonly state: ServiceState })[] = [];
  readonly #failures = new Map<string, Failure>();
  /** The number of failed destinations. */
  down = 0;

  /** `name`: what the page calls the service. */
  add(each: ServiceSnapshot, state: ServiceState, name: string): void {
    const affected = { id: idOf(each), name };
    if (state.rank === 0) this.#services.push({ ...affected, state });
    for (const one of each.destinations) {
      if (stateOf(one).mood !== 'bad') continue;
      this.down++;
      const server = one.name ?? (one.check ? one.address : formatDestination(one));
      const why = one.check ? `${one.check.type} check: ${one.check.message}` : '';
      const key = `${server}\n${why}`;
      const failure = this.#failures.get(key) ?? { server, why, services: [], isEntry: false };
      this.#failures.set(key, failure);
      failure.services.push(affected);
      failure.isEntry ||= state.rank !== 0;
    }
  }

  /** The number of services without a server. */
  get unserved(): number {
    return this.#services.length;
  }

  /** Renders the entries; undefined: nothing is wrong. */
  render(): Html | undefined {
    const failures = [...this.#failures.values()]
      .filter(({ isEntry }) => isEntry)
      .sort((a, b) => b.services.length - a.services.length);
    const all = this.#services.length + failures.length;
    if (all === 0) return undefined;
    const services = this.#services.slice(0, MAX_ENTRIES).map(
      ({ state, ...affected }) =>
        html`<li class="bad"><span class="state">${state.word}</span> ${link(affected)}<small>${state.why}</small></li>
`,
    );
    const servers = failures.slice(0, MAX_ENTRIES).map(
      ({ server, why, services: its }) =>
        html`<li class="bad"><span class="state">down</span> <b>${server}</b> in ${its.length === 1 ? undefined : html`${its.length} services: `}${its.slice(0, MAX_SERVICES).map((one, i) => html`${i > 0 ? ', ' : ''}${link(one)}`)}${its.length > MAX_SERVICES ? `, and ${its.length - MAX_SERVICES} more` : ''}<small>${why}</small></li>
`,
    );
    const more = all - services.length - servers.length;
    return html`<section id="problems" aria-labelledby="problems-title">
<h2 id="problems-title">Problems</h2>
<ul>
${services}${servers}${more > 0 ? html`<li>and ${more} more</li>` : undefined}</ul>
</section>
`;
  }
}

const link = ({ id, name }: Affected): Html => html`<a href="#${id}">${name}</a>`;
