/** Metrics with the readable names of services and destinations, which queries join to others by their labels. */
import { formatDestination, formatService } from '../model/naming.ts';
import type { ServiceSnapshot } from '../model/snapshot.ts';
import { type Family, gauge, type Labels } from './families.ts';
import { namedDestinations, serviceLabels } from './labels.ts';

/**
 * Returns the families that name services and destinations. Names are no labels of the other metrics: a new name would
 * begin new series of all of them.
 */
export function nameFamilies(services: readonly ServiceSnapshot[]): Family[] {
  return [
    gauge(
      'lvs_service_info',
      'Names of a virtual service: service is its name in the configuration, otherwise its address; always 1.',
      services.map((each) => [{ ...serviceLabels(each), ...serviceText(each) }, 1]),
    ),
    gauge(
      'lvs_destination_info',
      'Names of a destination and its service: those in the configuration, otherwise addresses; always 1.',
      namedDestinations(services).map(({ labels, destination, service }) => {
        const server = destination.name ?? formatDestination(destination);
        return [{ ...labels, ...serviceText(service), server }, 1];
      }),
    ),
  ];
}

const serviceText = ({ name, service }: ServiceSnapshot): Labels => ({
  service: name ?? formatService(service),
});
