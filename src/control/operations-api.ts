/** The part of a director's interface by which operators change its work until they end the change. */

/** A drained server. */
export interface DrainedServer {
  /** An address, or an address and port. */
  readonly server: string;
  /** Names of the services that have it. */
  readonly services: readonly string[];
  /** Its connections, but for those that are over. */
  readonly connections: number;
  /** Persistence templates by which it still receives new connections. */
  readonly templates: number;
}

export interface OperationsApi {
  /** Drains a server in all services. Throws LvsError if no service has it. */
  drain(server: string): Promise<DrainedServer>;
  /** Ends the drain of a server. Throws LvsError if it is not drained. */
  undrain(server: string): Promise<DrainedServer>;
  drained(): Promise<readonly DrainedServer[]>;
}
