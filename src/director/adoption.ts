/** Makes a director's rules, settings and timeouts from the records that another process has left. */
import { LvsError } from '../model/errors.ts';
import type { ServiceOptions } from '../model/service.ts';
import type { SettingName } from '../model/settings.ts';
import type { DestinationRecords } from '../table/destination-records.ts';
import type { TableMemory } from '../table/memory.ts';
import { isDestination } from '../table/record-checks.ts';
import {
  DESTINATION,
  DESTINATION_FLAGS,
  MAX_RECORDS,
  SERVICE,
  SERVICE_FLAGS,
  SETTINGS,
} from '../table/record-layout.ts';
import { ServiceRecords } from '../table/service-records.ts';
import { settingsWords, sysctlOffset } from '../table/settings-record.ts';
import type { Ticks } from '../table/ticks.ts';
import { assertFit, UnfitMemory } from '../table/unfit-memory.ts';
import { type Address, ANY4, formatAddress, prefixMask, sameAddress } from '../wire/address.ts';
import { configureService, schedulerNames } from './administration.ts';
import type { DirectorCore } from './core.ts';
import { engineNames } from './path/persistence.ts';
import { TCP_ESTABLISHED, TCP_FIN_WAIT } from './path/tcp-state.ts';
import type { RealDestination, Service } from './service.ts';
import { changeSetting, newSettings, StateTimeouts } from './settings.ts';

/** Throws UnfitMemory. The table's rows must have been adopted. */
export function adoptRules(core: DirectorCore, memory: TableMemory, ticks: Ticks): void {
  const { destinations, services, table } = core;
  const { records } = table;
  adoptSettings(core, memory, ticks);
  const known = (number: number) => isDestination(records, number);
  const byNumber = new Map(services.adopt(known, optionsOf).map((service) => [service.index, service]));
  const ofService = new Map<Service, RealDestination[]>();
  let stranded: Service | undefined;
  for (let index = 1; index < MAX_RECORDS; index++) {
    if (!known(index)) continue;
    let service = byNumber.get(records.half(index, DESTINATION.service));
    // Its service was removed, and connections or hidden ones remain.
    service ??= stranded ??= services.make(
      { protocol: 0, family: 4, address: ANY4, port: 0, mark: 0 },
      { scheduler: 'rr' },
    );
    const destination = destinations.adopt(index, service);
    if (!destination.available) continue;
    assertFit(service !== stranded, () => `destination ${index}: of no service`);
    const all = ofService.get(service);
    if (all) all.push(destination);
    else ofService.set(service, [destination]);
  }
  destinations.recycle();
  for (const service of services.all) {
    const { last, level } = service.position;
    service.adopt(inOrder(ofService.get(service) ?? [], services.listed(service)));
    configureService(core, service, service.options);
    // A new scheduler begins a new round.
    service.position.last = Math.min(last, service.destinations.length - 1);
    if (level > 0 && level <= service.position.top) service.position.level = level;
  }
}

/** Throws UnfitMemory if `adoptRules` would. Changes nothing. */
export function checkRules(memory: TableMemory, destinations: DestinationRecords, ticks: Ticks): void {
  const records = new ServiceRecords(memory);
  const numbers = new Set(records.adopt((number) => isDestination(destinations, number)));
  const keys = new Set<string>();
  for (const index of numbers) {
    optionsOf(records, index);
    const fields = [SERVICE.port, SERVICE.protocol].map((field) => records.half(index, field));
    const key = `${records.address(index, SERVICE.address)} ${fields} ${records.word(index, SERVICE.mark)}`;
    assertFit(!keys.has(key), () => `service ${index}: another one has its address`);
    keys.add(key);
  }
  for (let index = 1; index < MAX_RECORDS; index++) {
    const isConfigured = (destinations.word(index, DESTINATION.flags) & DESTINATION_FLAGS.AVAILABLE) !== 0;
    const service = destinations.half(index, DESTINATION.service);
    assertFit(!isConfigured || numbers.has(service), () => `destination ${index}: of no service`);
  }
  adoptSettings({ settings: newSettings(), timeouts: new StateTimeouts() }, memory, ticks);
}

/** Returns destinations in the order of a list; those that it does not have come first, as the newest. */
function inOrder(destinations: readonly RealDestination[], listed: readonly number[]): RealDestination[] {
  const places = new Map(listed.map((number, place) => [number, place]));
  const placeOf = ({ index }: RealDestination) => places.get(index) ?? -index;
  return [...destinations].sort((a, b) => placeOf(a) - placeOf(b));
}

/** Returns the options of a service's record. Throws UnfitMemory. */
function optionsOf(records: ServiceRecords, index: number): ServiceOptions {
  const names = records.half(index, SERVICE.schedulerName);
  const scheduler = schedulerNames[(names & 0xff) - 1];
  if (scheduler === undefined)
    throw new UnfitMemory(`service ${index}: no scheduler has number ${names & 0xff}`);
  const engine = engineNames[(names >>> 8) - 1];
  const schedulerFlags = records.half(index, SERVICE.schedulerFlags);
  const persistent = records.word(index, SERVICE.persistence) >>> 0;
  assertFit(
    schedulerFlags <= 7 && persistent % 1000 === 0,
    () => `service ${index}: scheduler flags or persistence`,
  );
  const family = records.half(index, SERVICE.protocol) >>> 8 === 4 ? 4 : 6;
  return {
    scheduler,
    ...(schedulerFlags !== 0 && { schedulerFlags }),
    ...(persistent !== 0 && {
      persistent: persistent / 1000,
      ...granularity(family, records.address(index, SERVICE.mask)),
    }),
    ...(engine !== undefined && { engine }),
    ...((records.word(index, SERVICE.flags) & SERVICE_FLAGS.ONE_PACKET) !== 0 && { ops: true }),
  };
}

/** Returns the options that result in the mask of client addresses. */
function granularity(
  family: 4 | 6,
  mask: Address,
): Pick<ServiceOptions, 'persistencePrefix' | 'persistenceMask'> {
  const most = family === 4 ? 32 : 128;
  if (sameAddress(mask, prefixMask(family, most))) return {};
  for (let bits = 0; bits < most; bits++)
    if (sameAddress(mask, prefixMask(family, bits))) return { persistencePrefix: bits };
  return { persistenceMask: formatAddress(Uint32Array.of(0, 0, ANY4[2]!, mask[3]!)) };
}

function adoptSettings(
  { settings, timeouts }: Pick<DirectorCore, 'settings' | 'timeouts'>,
  memory: TableMemory,
  ticks: Ticks,
): void {
  const words = settingsWords(memory);
  const seconds = (field: number) => Math.round(ticks.toMs(words[field >> 2]!) / 1000);
  try {
    for (const name of Object.keys(settings) as SettingName[])
      changeSetting(settings, name, words[sysctlOffset(name) >> 2]!);
    timeouts.set({
      tcp: seconds(SETTINGS.tcpTimeouts + 4 * TCP_ESTABLISHED),
      tcpFin: seconds(SETTINGS.tcpTimeouts + 4 * TCP_FIN_WAIT),
      udp: seconds(SETTINGS.udpTimeout),
    });
  } catch (error) {
    if (error instanceof LvsError) throw new UnfitMemory(`settings: ${error.message}`);
    throw error;
  }
}
