/** Represents metric families as plain data, and renders them in the exposition format. */
import { Counter, Gauge, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string>>;
export type Sample = readonly [labels: Labels, value: number];

/** All samples of one name. They have the label names of the first sample. */
export interface Family {
  readonly kind: 'counter' | 'gauge';
  readonly name: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

export const counter = (name: string, help: string, samples: readonly Sample[]): Family => ({
  kind: 'counter',
  name,
  help,
  samples,
});

export const gauge = (name: string, help: string, samples: readonly Sample[]): Family => ({
  kind: 'gauge',
  name,
  help,
  samples,
});

/** Returns the sample of a metric without labels. */
export const single = (value: number): readonly Sample[] => [[{}, value]];

/** Renders a family as text. Each family has a separate registry, which bounds memory. */
export function textOf({ kind, name, help, samples }: Family): Promise<string> {
  const registry = new Registry();
  const options = { name, help, labelNames: Object.keys(samples[0]?.[0] ?? {}), registers: [registry] };
  if (kind === 'counter') {
    const metric = new Counter(options);
    for (const [labels, value] of samples) metric.inc(labels, value);
  } else {
    const metric = new Gauge(options);
    for (const [labels, value] of samples) metric.set(labels, value);
  }
  return registry.metrics();
}
