/** Renders graphs and bars as SVG. */
import { short } from './figures.ts';
import { type Graph, SAMPLES } from './history.ts';
import { type Html, html } from './html.ts';

const WIDTH = 240;
const HEIGHT = 32;
/** Minimum top of the scale, packets per second, so that an idle service does not look busy. */
const MIN_SCALE = 10;

/** Renders the packets per second of the last two minutes, a line for each direction. */
export function graphOf({ in: into, out }: Graph): Html {
  const top = Math.max(MIN_SCALE, ...into, ...out);
  const points = (values: readonly number[]): string => {
    const heights = values.map((value) => Math.round(HEIGHT - 1 - (value / top) * (HEIGHT - 2)));
    // Points within a horizontal line are omitted.
    return heights
      .flatMap((y, i) =>
        y === heights[i - 1] && y === heights[i + 1] ? [] : `${SAMPLES - heights.length + i},${y}`,
      )
      .join(' ');
  };
  const label = `Packets per second in the last two minutes: ${short(into.at(-1) ?? 0)} in, ${short(out.at(-1) ?? 0)} out, scale ${short(top)}`;
  return html`<svg class="graph" role="img" viewBox="0 0 ${SAMPLES - 1} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" preserveAspectRatio="none"><title>${label}</title><polyline class="out" points="${points(out)}"/><polyline class="in" points="${points(into)}"/></svg>`;
}

/** Renders a share as a bar with a mark at the expected share; both are 0 to 1. */
export function shareBar(share: number, wanted: number): Html {
  const width = 56;
  const mark = 1.5;
  const at = (value: number, length = width) => (Math.min(1, value) * length).toFixed(1);
  return html`<svg class="share" aria-hidden="true" viewBox="0 0 ${width} 10" width="${width}" height="10"><rect class="whole" width="${width}" height="10"/><rect class="part" width="${at(share)}" height="10"/><rect class="mark" x="${at(wanted, width - mark)}" width="${mark}" height="10"/></svg>`;
}
