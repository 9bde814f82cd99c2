/** Finds guards of killed directors: they withhold the packets of their services from this host. */
import { orphansIn } from '../../host/orphaned-guards.ts';
import type { Machine } from '../machine.ts';
import type { Finding } from './finding.ts';

export async function guardFindings(machine: Machine): Promise<Finding[]> {
  const failed = () => ({ status: 1, stdout: '' });
  const tables = await machine.run(['nft', '-j', 'list', 'tables', 'netdev']).catch(failed);
  const sockets = await machine.run(['cat', '/proc/self/net/unix']).catch(failed);
  if (tables.status !== 0 || sockets.status !== 0) return [];
  return orphansIn(tables.stdout, sockets.stdout).map((table) => ({
    name: 'orphaned-guard',
    what: `the table ${table} withholds packets from this host, and its director was killed`,
    remedy: 'lvs-director stop --release, unless the director is about to start again',
  }));
}
