/** Keys of a cluster in etcd. Everything under `state/` is followed by every director. */

export class Keys {
  readonly root: string;

  /** `cluster`: its name. */
  constructor(cluster: string) {
    this.root = `/lvs/${cluster}/`;
  }

  get state(): string {
    return `${this.root}state/`;
  }
  get meta(): string {
    return `${this.state}meta`;
  }
  /** Points to the generation that is to be in effect. */
  get config(): string {
    return `${this.state}config`;
  }
  /** Rules that ipvsadm has set over and above the configuration. */
  get rules(): string {
    return `${this.state}rules`;
  }
  /** A director that was admitted. */
  node(name: string): string {
    return `${this.state}nodes/${name}`;
  }
  /** A director that runs. The key has its lease. */
  member(name: string): string {
    return `${this.state}members/${name}`;
  }
  /** A real server that joins. The key has its lease. */
  server(name: string): string {
    return `${this.state}servers/${name}`;
  }
  paused(name: string): string {
    return `${this.state}paused/${name}`;
  }
  evicted(name: string): string {
    return `${this.state}evicted/${name}`;
  }
  /** A place among the directors that may apply a generation at the same time. */
  turn(generation: number, place: number): string {
    return `${this.state}turns/${generation}/${place}`;
  }
  /** A director has rejected the generation: the others do not begin. */
  halt(generation: number): string {
    return `${this.state}halts/${generation}`;
  }
  /** Places of directors that announce groups of VIPs: `GROUP/PLACE` follows. */
  get slots(): string {
    return `${this.state}slots/`;
  }
  /** A place among the directors that announce a group of VIPs. The key has the lease of the director. */
  slot(group: string, place: number): string {
    return `${this.slots}${group}/${place}`;
  }
  proposal(id: string): string {
    return `${this.state}proposals/${id}`;
  }
  answers(id: string): string {
    return `${this.root}answers/${id}/`;
  }
  get generations(): string {
    return `${this.root}generations/`;
  }
  /** The order of keys is that of numbers. */
  generation(number: number): string {
    return `${this.generations}${String(number).padStart(10, '0')}`;
  }
  get log(): string {
    return `${this.root}log/`;
  }
}
