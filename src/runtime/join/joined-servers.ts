/** The servers that join a running director by themselves: their destinations follow what they announce. */
import { randomBytes } from 'node:crypto';
import type { Watch, Watched } from '../../checks/watch.ts';
import type { DirectorApi, Outcome } from '../../control/director-api.ts';
import type { Director } from '../../director/director.ts';
import { systemTime } from '../../host/system-time.ts';
import { joinKey } from '../../join/heartbeat-codec.ts';
import { type Left, Membership, type Step } from '../../join/membership.ts';
import { type Placement, stateOf } from '../../join/placement.ts';
import { HeartbeatReceiver } from '../../join/receiver.ts';
import { type RegisteredValue, ServerRegistry } from '../../join/registry.ts';
import type { Command } from '../../model/command.ts';
import type { DestinationAddress } from '../../model/destination.ts';
import { LvsError } from '../../model/errors.ts';
import {
  JOINED_STATES,
  type JoinCounts,
  type JoinedPlace,
  type JoinedSnapshot,
  type JoinedState,
} from '../../model/joined.ts';
import { formatService } from '../../model/naming.ts';
import type { ServiceAddress } from '../../model/service.ts';
import { formatPrefix } from '../../wire/prefix.ts';
import { PrefixSet } from '../../wire/prefix-set.ts';
import { logChanges } from '../changes.ts';
import type { Conditions } from '../conditions.ts';
import type { LoadedJoin } from '../configuration/configuration.ts';
import type { ConfiguredNames } from '../configuration/configured-names.ts';
import type { Drains } from '../drains.ts';
import type { Log } from '../log.ts';
import { runningDestination } from '../running-destination.ts';
import { JoinSocket } from './join-socket.ts';
import { commandOf, type Joinable, networksOf, patienceOf, policyOf, watchedOf } from './joinable.ts';
import { joinedPlaces } from './joined-listing.ts';
import { type JoinedRecord, leftOf } from './joined-record.ts';
import { JoinedReports } from './joined-reports.ts';

/** ms between two looks at what servers have announced. */
const UPDATE_MS = 100;
const SECRET_BYTES = 32;
/** Servers that left lately are remembered, as many as may be there. */
const REMEMBERED = 2;

export interface JoinedServersOptions {
  readonly director: Director;
  readonly health: Watch;
  readonly names: ConfiguredNames;
  /** Updates the host, too. */
  readonly guarded: DirectorApi;
  /** For weights, which concern the director alone. */
  readonly plain: DirectorApi;
  readonly record: JoinedRecord;
  readonly conditions: Conditions;
  readonly clock: () => number;
  readonly log: Log;
}

export class JoinedServers implements Disposable {
  readonly #options: JoinedServersOptions;
  readonly #reports: JoinedReports;
  readonly #membership: Membership;
  readonly #receiver: HeartbeatReceiver;
  readonly #socket: JoinSocket;
  /** undefined: the director does not follow etcd. */
  #registry: ServerRegistry | undefined;
  #join: LoadedJoin | undefined;
  /** What reloads have removed from the file, and connections still use. */
  drains: Pick<Drains, 'end'> | undefined;
  /** By the name of the service. */
  #joinable = new Map<string, Joinable>();
  #drain = 0;
  /** Networks of servers, as the configuration or the device had them last; undefined: not known yet. */
  #networks: PrefixSet | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Resolves when the update that runs has ended. */
  #updating: Promise<void> | undefined;
  #isPaused = false;
  /** The record lacks changes of weights or states. */
  #isDirty = false;

  constructor(options: JoinedServersOptions) {
    const { log, clock } = options;
    this.#options = options;
    this.#reports = new JoinedReports(options);
    this.#membership = new Membership({
      changed: (...change) => {
        this.#isDirty = true;
        this.#reports.changed(...change);
      },
      refused: (...refusal) => this.#reports.refused(...refusal),
    });
    this.#receiver = new HeartbeatReceiver({
      members: this.#membership,
      secret: randomBytes(SECRET_BYTES),
      reply: (datagram, to) => this.#socket.reply(datagram, to),
    });
    this.#socket = new JoinSocket(
      (datagram, from) => void this.#receiver.receive(datagram, from, clock()),
      log,
    );
  }

  /** Applies a configuration; before its rules. `drain`: seconds. */
  configure(join: LoadedJoin | undefined, joinable: Iterable<Joinable>, drain: number): void {
    this.#join = join;
    this.#joinable = new Map([...joinable].map((each) => [formatService(each.service), each]));
    this.#drain = drain;
    this.#applyPolicy();
    const { device, group, port } = join ?? {};
    this.#socket.listen(device === undefined ? undefined : { device, group: group!, port: port! });
    if (join && device === undefined && !this.#registry) this.#reports.withoutSource();
  }

  /** Servers may register in etcd, too. Call it before `restore`. */
  useRegistry(): void {
    this.#registry = new ServerRegistry(this.#membership);
  }

  /** Takes the keys of servers as etcd has them, by name. Returns the names whose values are no announcements. */
  register(values: ReadonlyMap<string, RegisteredValue>): readonly string[] {
    if (!this.#join) return [];
    return this.#registry?.take(values, this.#options.clock()) ?? [];
  }

  /** Goes on with the servers of a former director. Call it after `configure`, before the rules are changed. */
  restore(): void {
    const { record, clock, director } = this.#options;
    const ahead = clock() - systemTime();
    for (const left of record.read()) {
      const isRunning = runningDestination(director, left.service, left.destination) !== undefined;
      const { end, stateSince } = left;
      this.#membership.restore(
        {
          ...left,
          // Without etcd, only heartbeats can confirm it.
          source: (this.#registry && left.source) ?? 'heartbeats',
          applied: isRunning ? left.applied : undefined,
          end: end && { earliest: end.earliest + ahead, latest: end.latest + ahead },
          ...(stateSince !== undefined && { stateSince: stateSince + ahead }),
        },
        clock(),
      );
    }
    for (const { name, run, state, source, placements } of this.#membership.servers) {
      if (source === 'etcd' && this.#registry) {
        this.#registry.expect(name, clock());
        continue;
      }
      const places = [...placements.values()];
      this.#receiver.expect({ node: name, run, state, places }, clock());
    }
    for (const placement of this.#membership.placements) this.#name(placement);
    // Limits may be those of another file by now.
    this.#applyPolicy();
  }

  /** Adds what is restored, and follows announcements from now on. */
  async start(): Promise<void> {
    await this.update();
    this.#timer = setInterval(() => void this.update(), UPDATE_MS);
  }

  /** Resolves when no update changes the rules any more, until `resume` is called. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await this.#updating;
  }

  resume(): void {
    this.#isPaused = false;
  }

  /** Yields the destinations with checks. */
  *watched(): Generator<Watched> {
    for (const { serviceName, destination } of this.#membership.placements) {
      const joinable = this.#joinable.get(serviceName);
      const watched = joinable && watchedOf(joinable, destination);
      if (watched) yield watched;
    }
  }

  /** Yields commands that would add the destinations with the weights that the director has. */
  *commands(): Generator<Extract<Command, { readonly op: 'add-destination' | 'edit-destination' }>> {
    for (const { service, destination, options, applied } of this.#membership.placements)
      if (applied !== undefined)
        yield { op: 'add-destination', service, destination, options: { ...options, weight: applied } };
  }

  /** Applies what servers have announced since the last call, if no other call does. */
  async update(): Promise<void> {
    if (this.#updating || this.#isPaused) return;
    const { clock } = this.#options;
    this.#receiver.tick(clock());
    const steps = this.#membership.steps(clock(), {
      isIdle: (placement) => this.#isIdle(placement),
      isDown: ({ service, destination }) =>
        this.#options.health.stateOf(service, destination, clock())?.state === 'down',
    });
    if (steps.length === 0) return;
    this.#isDirty = true;
    this.#updating = this.#apply(steps)
      .catch((error: unknown) => {
        if (!(error instanceof LvsError)) throw error;
        this.#options.log('error', 'join-failed', { error: error.message });
      })
      .finally(() => {
        this.#updating = undefined;
      });
    await this.#updating;
  }

  /** Reports conditions and refused heartbeats. Call it once a second. */
  watch(): void {
    this.#socket.check();
    if (this.#join && hasChanged(this.#networks, networksOf(this.#join))) this.#applyPolicy();
    this.#reports.kept(this.#membership.placements);
    if (this.#isDirty) void this.#write();
    this.#reports.heartbeats(this.#receiver.counts);
  }

  /** What is shown of a destination that has joined. */
  of(service: ServiceAddress, destination: DestinationAddress): JoinedSnapshot | undefined {
    const placement = this.#membership.find(service, destination);
    if (!placement || placement.isRemoved) return undefined;
    return { server: placement.server.name, state: stateOf(placement), weight: placement.weight };
  }

  /** The destinations that have joined, by server. */
  get places(): readonly JoinedPlace[] {
    const { director, clock } = this.#options;
    return joinedPlaces(this.#membership, director, clock());
  }

  /** Missing: the file allows no servers to join. */
  get counts(): JoinCounts | undefined {
    if (!this.#join) return undefined;
    const servers = Object.fromEntries(JOINED_STATES.map((state) => [state, 0])) as Record<
      JoinedState,
      number
    >;
    for (const { placements } of this.#membership.servers) {
      const [first] = placements.values();
      if (first) servers[stateOf(first)]++;
    }
    const { refusals, massLosses } = this.#membership;
    const registered = this.#registry?.size;
    return {
      ...{ heartbeats: { ...this.#receiver.counts }, refusals: { ...refusals }, servers, massLosses },
      ...(registered !== undefined && { registered }),
    };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#isPaused = true;
    this.#socket[Symbol.dispose]();
    if (this.#isDirty) this.#options.record.writeNow(this.#left());
  }

  #applyPolicy(): void {
    const join = this.#join;
    const now = this.#options.clock();
    // While the device has no address, what was allowed before stays.
    if (join) this.#networks = networksOf(join) ?? this.#networks;
    if (join && !this.#networks) return;
    const joinable = join ? this.#joinable.values() : [];
    this.#membership.configure(
      policyOf(join ?? NO_JOIN, joinable, this.#networks ?? NO_NETWORKS, this.#drain),
      now,
    );
    const { secrets, period, timeout, maxServers } = join ?? NO_JOIN;
    const settings = { keys: secrets.map(joinKey), period, maxSenders: REMEMBERED * maxServers };
    this.#receiver.configure({ ...settings, timeout: timeout - patienceOf({ period }) }, now);
  }

  async #apply(steps: readonly Step[]): Promise<void> {
    const { health, names, guarded, plain, log, clock } = this.#options;
    const isWeights = steps.every(({ kind }) => kind === 'edit');
    // The next director must not take them for manual changes.
    if (!isWeights) await this.#write();
    for (const { kind, placement } of steps) {
      if (kind !== 'add') continue;
      this.#name(placement);
      const joinable = this.#joinable.get(placement.serviceName);
      const watched = joinable && watchedOf(joinable, placement.destination);
      if (watched) health.add(watched, 'joined, and not checked yet', clock());
    }
    const commands = steps.map((step) => commandOf(step, this.drains));
    const outcomes = await (isWeights ? plain : guarded).apply(commands);
    for (const [i, { kind, placement }] of steps.entries()) {
      if (outcomes[i] && kind !== 'remove') this.#failed(placement, outcomes[i]);
      // Checks would give a weight to a destination that was added manually.
      if (kind !== 'remove' && !(kind === 'add' && outcomes[i])) continue;
      health.remove(placement.service, placement.destination);
      names.leave(placement.service, placement.destination);
    }
    if (isWeights) return;
    await logChanges(commands, outcomes, 'joined', log);
    await this.#write();
  }

  /** The rules were changed manually: that stays until the agent starts again. */
  #failed(placement: Placement, outcome: NonNullable<Outcome>): void {
    placement.isRemoved = true;
    const { serviceName, server } = placement;
    const fields = { service: serviceName, server: server.name, error: outcome.message };
    this.#options.log('warning', 'join-failed', fields);
  }

  #isIdle({ service, destination }: Placement): boolean {
    const found = runningDestination(this.#options.director, service, destination);
    return !found || found.activeConnections + found.inactiveConnections === 0;
  }

  #name({ service, destination, server }: Placement): void {
    this.#options.names.join(service, destination, server.name);
  }

  #write(): Promise<void> {
    this.#isDirty = false;
    return this.#options.record.write(this.#left());
  }

  /** What the next director has to know. */
  #left(): Left[] {
    const ahead = systemTime() - this.#options.clock();
    return [...this.#membership.placements].map((each) => leftOf(each, ahead));
  }
}

/** Reports whether the device has other networks now; false: it has no address. */
const hasChanged = (before: PrefixSet | undefined, now: PrefixSet | undefined): boolean =>
  now !== undefined && textOf(before) !== textOf(now);

const textOf = (networks: PrefixSet | undefined): string =>
  networks ? [...networks].map(formatPrefix).join(' ') : '';

const NO_NETWORKS = new PrefixSet();
const NO_JOIN: LoadedJoin = {
  ...{ group: '', port: 0, period: 1000, timeout: 4000, maxServers: 0, secrets: [] },
};
