/** Measures the processing of a packet in the director, from the received frame to the sent one. */
import type { DestinationOptions } from '../src/model/destination.ts';
import { collectionsDuring } from '../test/support/collections.ts';
import { type Effort, type Figure, nanoseconds, shuffled, tableSizes } from './measure.ts';
import { Scene } from './scene.ts';

/** First bytes of the addresses of known clients, and of new ones. */
const KNOWN_NETWORK = 20;
const NEW_NETWORK = 30;
/** Time after which a connection in SYN_RECV has expired, ms. */
const EXPIRED_MS = 61_000;

export async function director(effort: Effort): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const method of ['nat', 'dr', 'tunnel'] as const)
    for (const size of tableSizes(effort)) figures.push(...(await measure(effort, method, size)));
  return figures;
}

async function measure(
  effort: Effort,
  method: DestinationOptions['method'],
  size: number,
): Promise<Figure[]> {
  const figures: Figure[] = [];
  const figure = (what: string, rest: Omit<Figure, 'name' | 'connections'>) =>
    figures.push({ name: `director, ${method}: ${what}`, connections: size, ...rest });

  const arrivals = 50_000;
  const scene = new Scene(method, size + arrivals);
  for (let i = 0; i < size; i++) {
    scene.open(KNOWN_NETWORK, i);
    scene.go(KNOWN_NETWORK, i);
  }
  figure(
    'copying a packet into the frame',
    nanoseconds(effort, 500_000, (calls, from) => {
      for (let i = 0; i < calls; i++) scene.loadOnly(KNOWN_NETWORK, shuffled(from + i, size));
    }),
  );
  const known = (calls: number, from: number) => {
    for (let i = 0; i < calls; i++) scene.go(KNOWN_NETWORK, shuffled(from + i, size));
  };
  figure('packet of a known connection, copied', nanoseconds(effort, 500_000, known));
  figure(
    'packet of a new connection, copied',
    nanoseconds(
      effort,
      arrivals,
      (calls) => {
        for (let i = 0; i < calls; i++) scene.open(NEW_NETWORK, i);
      },
      () => {
        scene.now += EXPIRED_MS;
        scene.director.expire(scene.now);
      },
    ),
  );
  figure('collections in known packets', {
    value: await collectionsDuring(() => known(effort.quick ? 100_000 : 1_000_000, 0)),
    unit: 'collections',
  });
  return figures;
}
