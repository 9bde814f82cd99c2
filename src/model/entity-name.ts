/** Names that the configuration gives services and servers, and the order in which it lists them. */
import type { DestinationAddress } from './destination.ts';
import type { ServiceAddress } from './service.ts';

/**
 * The form of a name: it is one word for a shell and in a URL, a label for Prometheus, and never an IP address, because
 * commands accept either.
 */
export const NAME_PATTERN = '^(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9][A-Za-z0-9._-]{0,62}$';

const PATTERN = new RegExp(NAME_PATTERN);

/** Reports whether a text may be a name. */
export const isName = (text: string): boolean => PATTERN.test(text);

/** A destination of a service in the configuration. */
export interface ListedDestination {
  readonly destination: DestinationAddress;
  readonly name?: string;
}

/** A service of the configuration. */
export interface ListedService {
  readonly service: ServiceAddress;
  readonly name?: string;
  /** In the file's order, sorry servers last. */
  readonly destinations: readonly ListedDestination[];
}
