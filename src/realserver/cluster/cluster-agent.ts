/** Runs this host's part of a cluster without a director: heartbeats, convergence, and the filter that follows it. */
import { randomBytes } from 'node:crypto';
import { availableParallelism, constants, loadavg, setPriority } from 'node:os';
import { Bpf } from '../../ebpf/bpf.ts';
import { linkFacts } from '../../host/link-facts.ts';
import { LvsError } from '../../model/errors.ts';
import type { Say } from '../../model/level.ts';
import { describeRule, type NlbCluster, type NlbHost } from '../../model/nlb.ts';
import { assignment, configurationHash, placeSeed, weightsOf } from '../../nlb/assignment.ts';
import { clusterMac } from '../../nlb/cluster-address.ts';
import { Convergence } from '../../nlb/convergence.ts';
import { ClusterFilter } from '../../nlb/filter/filter.ts';
import { decodeHeartbeat, encodeHeartbeat, type HeartbeatError } from '../../nlb/heartbeat-codec.ts';
import { lossTime } from '../../nlb/peers.ts';
import { receiveMac } from '../../sys/card-filter.ts';
import { loadSystem } from '../../sys/system.ts';
import { SystemCallError } from '../../sys/system-call-error.ts';
import { formatMac, parseMac } from '../../wire/ethernet.ts';
import { percentOf, stepTowards } from '../agent-check.ts';
import { openConnections } from '../connections.ts';
import { ChangeLog } from './change-log.ts';
import { type ClusterStatus, sharesOf } from './cluster-status.ts';
import { type HeartbeatSocket, openHeartbeatSocket } from './heartbeat-socket.ts';
import { LocalHealth } from './local-health.ts';

/** ms between two checks that the filter is attached. */
const ATTACH_MS = 1000;
/** ms between two steps of the weights towards what the load allows. */
const LOAD_MS = 10_000;
const TICKS_PER_PERIOD = 5;
/** How long a host that leaves waits for the others to take its places, in times until a host is lost. */
const LEAVE_LOSS_TIMES = 2;
const LEAVE_POLL_MS = 20;

/** ms of the clock that programs in the kernel read, too (CLOCK_MONOTONIC). */
const clock = (): number => Number(process.hrtime.bigint()) / 1e6;

export class ClusterAgent implements Disposable {
  readonly cluster: NlbCluster;
  readonly host: NlbHost;
  readonly #bpf: Bpf;
  readonly #say: Say;
  readonly #log: ChangeLog;
  readonly #convergence: Convergence;
  readonly #ownMac: Uint8Array;
  readonly #drained = new Set<number>();
  readonly #rejected: Record<HeartbeatError, number> = { foreign: 0, unauthenticated: 0, malformed: 0 };
  #repeated = 0;
  #sent = 0;
  #received = 0;
  #capacity = 100;
  #isLeaving = false;
  /** The filter is detached. */
  #isSuspended = false;
  readonly #suspended = new Set<number>();
  #revision = -1;
  #filter: ClusterFilter | undefined;
  #card: Disposable | undefined;
  #socket: HeartbeatSocket | undefined;
  #health: LocalHealth | undefined;
  #timers: NodeJS.Timeout[] = [];

  private constructor(bpf: Bpf, cluster: NlbCluster, host: NlbHost, say: Say) {
    this.#bpf = bpf;
    this.cluster = cluster;
    this.host = host;
    this.#say = say;
    this.#log = new ChangeLog(cluster, host, say);
    this.#ownMac = parseMac(linkFacts(cluster.device)?.mac ?? '') ?? missingDevice(cluster.device);
    this.#convergence = new Convergence(
      {
        id: host.id,
        hosts: cluster.hosts.map(({ id }) => id),
        newBoot: () => randomBytes(4).readUInt32BE(0),
        configuration: configurationHash(cluster),
        period: cluster.period,
        missed: cluster.missed,
        weights: this.#weights(),
        assign: assignment(cluster.rules),
        recent: (now) => this.#filter?.recent(now) ?? new Map(),
      },
      clock(),
    );
  }

  /** Joins the cluster. Throws LvsError, SystemUnavailable, VerifierError or SystemCallError if the host cannot. */
  static async open(cluster: NlbCluster, host: NlbHost, say: Say): Promise<ClusterAgent> {
    const system = await loadSystem();
    const agent = new ClusterAgent(new Bpf(system), cluster, host, say);
    try {
      agent.#attach();
      agent.#card = receiveMac(system, agent.#interfaceIndex, clusterMac(cluster));
      agent.#socket = await openHeartbeatSocket({
        cluster,
        host,
        receive: (datagram, from) => agent.#receive(datagram, from),
        failed: (reason) => agent.#log.sendFailed(reason),
      });
    } catch (error) {
      agent[Symbol.dispose]();
      throw error;
    }
    preferThisProcess();
    agent.#health = new LocalHealth({
      cluster,
      say,
      checked: () => agent.#convergence.setWeights(agent.#weights()),
    });
    agent.#timers = [
      setInterval(() => agent.#run(), cluster.period / TICKS_PER_PERIOD),
      setInterval(() => agent.#attachAgain(), ATTACH_MS),
      ...(cluster.followsLoad ? [setInterval(() => agent.#followLoad(), LOAD_MS)] : []),
    ];
    return agent;
  }

  get #interfaceIndex(): number {
    return linkFacts(this.cluster.device)?.index ?? missingDevice(this.cluster.device);
  }

  #weights(): number[] {
    const { rules } = this.cluster;
    const isOut = this.#isLeaving || this.#isSuspended;
    const drained = new Set(isOut ? rules.keys() : [...this.#drained, ...this.#suspended]);
    const healthy = (rule: number, weight: number) => this.#health?.weight(rule, weight) ?? weight;
    return weightsOf(rules, this.host.id, { drained, capacity: this.#capacity, healthy });
  }

  #receive(datagram: Buffer, from: string): void {
    const beat = decodeHeartbeat(datagram, this.cluster.key);
    if (typeof beat === 'string') {
      this.#rejected[beat]++;
      this.#log.rejected(beat, from);
      return;
    }
    if (beat.weights.length !== this.cluster.rules.length) {
      // Of another configuration, of which no more is known than that it differs.
      this.#log.mismatch(beat.id);
    }
    if (!this.#convergence.receive(beat, clock())) {
      this.#repeated++;
      return;
    }
    this.#received++;
    this.#run();
  }

  /** Lets time pass: what was given up takes effect before the others are informed. */
  #run(): void {
    const now = clock();
    const isDue = this.#convergence.tick(now);
    const { places } = this.#convergence;
    if (this.#revision !== places.revision) this.#filter?.accept(places);
    this.#revision = places.revision;
    this.#filter?.lease(this.#convergence.leaseUntil(now));
    if (isDue) {
      this.#sent++;
      this.#socket?.send(encodeHeartbeat(this.#convergence.heartbeat(now), this.cluster.key));
    }
    this.#log.observe(this.#convergence.status);
  }

  #attach(): void {
    const { cluster } = this;
    this.#filter ??= new ClusterFilter(this.#bpf, {
      cluster,
      seed: placeSeed(cluster),
      clusterMac: clusterMac(cluster),
      ownMac: this.#ownMac,
    });
    this.#filter.suspend(this.#suspended);
    this.#filter.attach(this.#interfaceIndex);
  }

  #attachAgain(): void {
    if (this.#isSuspended) return;
    try {
      const index = linkFacts(this.cluster.device)?.index;
      if (index !== undefined && this.#filter?.attach(index) === 'restored')
        this.#say(
          `${this.cluster.device}: the filter was detached by another program, and is attached again`,
          'warning',
        );
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      this.#say(`${this.cluster.device}: cannot attach the filter again: ${error.message}`, 'error');
    }
  }

  /** Takes no new connections, of one rule or of all; existing ones continue. */
  drain(rules: readonly number[] = [...this.cluster.rules.keys()]): void {
    for (const rule of rules) this.#drained.add(rule);
    this.#convergence.setWeights(this.#weights());
    this.#run();
  }

  /** Takes packets and new connections again, of some rules or of all; of all if the host is suspended. */
  resume(rules: readonly number[] = [...this.cluster.rules.keys()]): void {
    for (const rule of rules) {
      this.#drained.delete(rule);
      this.#suspended.delete(rule);
    }
    this.#filter?.suspend(this.#suspended);
    if (this.#isSuspended) {
      this.#isSuspended = false;
      this.#attach();
      this.#revision = -1;
    }
    this.#convergence.setWeights(this.#weights());
    this.#run();
  }

  /** Hands the places over to the others, and then ignores all packets of the cluster, or of some rules. */
  async suspend(rules?: readonly number[]): Promise<void> {
    if (rules) {
      for (const rule of rules) this.#suspended.add(rule);
      await this.#handOver(rules);
      this.#filter?.suspend(this.#suspended);
      return;
    }
    if (this.#isSuspended) return;
    this.#isSuspended = true;
    await this.#handOver();
    if (!this.#isSuspended) return;
    this.#filter?.[Symbol.dispose]();
    this.#filter = undefined;
  }

  /** Hands the places over to the others, so that the host can end without a failed connection. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    await this.#handOver();
  }

  /** Sets the percentage of the weights that the host can bear: a step towards what its load allows. */
  #followLoad(): void {
    this.#capacity = stepTowards(this.#capacity, percentOf(loadavg()[0]!, availableParallelism()));
    this.#convergence.setWeights(this.#weights());
  }

  /** Resolves when this host accepts nothing of the rules any more, or the others do not take its places in time. */
  async #handOver(rules: readonly number[] = [...this.cluster.rules.keys()]): Promise<void> {
    this.#convergence.setWeights(this.#weights());
    const until = clock() + LEAVE_LOSS_TIMES * lossTime(this.cluster);
    const isDone = () => {
      const { view, isConverged } = this.#convergence.status;
      const own = view?.members.find(({ id }) => id === this.host.id);
      return isConverged && own !== undefined && rules.every((rule) => own.weights[rule] === 0);
    };
    while (!isDone() && clock() < until) await new Promise((resolve) => setTimeout(resolve, LEAVE_POLL_MS));
  }

  /** Returns the number of open connections to the cluster's addresses. */
  connections(): number {
    return openConnections(this.cluster.addresses.map((address) => ({ address })));
  }

  status(): ClusterStatus {
    const { state, view, isConverged, owners, peers } = this.#convergence.status;
    const nameOf = (id: number) => this.cluster.hosts.find((host) => host.id === id)?.name ?? `${id}`;
    return {
      host: this.host.name,
      id: this.host.id,
      addresses: this.cluster.addresses,
      mac: formatMac(clusterMac(this.cluster)),
      state: this.#isSuspended ? 'suspended' : state,
      isConverged,
      epoch: view?.epoch.counter ?? 0,
      coordinator: view ? nameOf(view.epoch.coordinator) : '',
      members: (view?.members ?? []).map(({ id }) => nameOf(id)),
      received: peers.map(({ id }) => nameOf(id)),
      rules: this.cluster.rules.map((rule, i) => ({
        rule: describeRule(rule),
        hosts: rule.hosts,
        isDrained: this.#drained.has(i),
        isSuspended: this.#suspended.has(i),
        ...(rule.check && { service: this.#health?.stateOf(i) ?? 'up' }),
        shares: sharesOf(owners[i], nameOf),
      })),
      connections: this.connections(),
      packets: this.#filter?.counters() ?? {},
      heartbeats: { sent: this.#sent, received: this.#received, repeated: this.#repeated, ...this.#rejected },
    };
  }

  /** Owners of a place, for `explain`; undefined while no view is in force. */
  ownerOf(rule: number, place: number): number | undefined {
    return this.#convergence.ownerOf(rule, place);
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#health?.[Symbol.dispose]();
    this.#filter?.[Symbol.dispose]();
    this.#card?.[Symbol.dispose]();
    this.#socket?.[Symbol.dispose]();
  }
}

/** Other programs of a loaded host must not delay heartbeats for so long that the others take the places. */
function preferThisProcess(): void {
  try {
    setPriority(constants.priority.PRIORITY_HIGHEST);
  } catch {
    // Without the privilege the agent runs as before.
  }
}

function missingDevice(device: string): never {
  throw new LvsError(
    'NO_SUCH_DEVICE',
    `device ${device} of the cluster: not found, or without a MAC address`,
  );
}
