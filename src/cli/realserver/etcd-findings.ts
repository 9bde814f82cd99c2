/** Finds why this host cannot take part in a cluster: settings, certificate, endpoints, user, clock and the copy of the state. */
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EtcdClient, type EtcdOptions } from '../../etcd/client.ts';
import { EtcdError } from '../../etcd/etcd-error.ts';
import { Gateway } from '../../etcd/gateway.ts';
import { instancesIn, pidOf, unixSockets } from '../../host/director-instances.ts';
import type { ClusterSettings } from '../../model/cluster.ts';
import { LvsError } from '../../model/errors.ts';
import type { Finding } from '../../realserver/doctor/finding.ts';
import { etcdOptionsOf, readClusterSettings, storeOf } from '../../runtime/cluster/cluster-access.ts';

/** ms for which an endpoint may take to answer. */
const ANSWER_MS = 2000;
/** ms by which clocks may differ; etcd reports whole seconds. */
const CLOCK_MS = 5000;
/** A revision that no key has. */
const NEVER = Number.MAX_SAFE_INTEGER;

/** Examines the settings file of a director, or of a server that registers, and what it leads to. */
export async function etcdFindings(path: string, role: 'director' | 'server'): Promise<Finding[]> {
  let settings: ClusterSettings;
  let options: EtcdOptions;
  try {
    settings = await readClusterSettings(path);
    options = await etcdOptionsOf(settings);
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    const command = /\((chmod [^)]+)\)/.exec(error.message)?.[1];
    return [
      {
        name: 'cluster-settings',
        what: error.message,
        remedy: command ?? `correct ${path}, or the named file`,
      },
    ];
  }
  const findings = certificateFindings(settings, options);
  const seen = await endpointFindings(options);
  // The same certificate is refused by each.
  const isKnown = findings.length > 0;
  findings.push(...seen.findings.filter(({ name }) => !isKnown || name !== 'etcd-certificate'));
  if (seen.endpoints.length > 0)
    findings.push(...(await userFindings(settings, { ...options, endpoints: seen.endpoints }, role)));
  if (role === 'director') findings.push(...copyFindings(settings, path));
  return findings;
}

function certificateFindings({ tls, user }: ClusterSettings, { tls: texts }: EtcdOptions): Finding[] {
  if (texts?.cert === undefined) return [];
  const { subject, validFrom, validTo } = new X509Certificate(texts.cert);
  const finding = (what: string): Finding => ({
    name: 'etcd-certificate',
    what: `${tls?.cert}: ${what}`,
    remedy: 'make another certificate, as in docs/cluster.md (Users, roles and certificates)',
  });
  const isValid = Date.parse(validFrom) <= Date.now() && Date.now() < Date.parse(validTo);
  return [
    ...(user !== undefined && /^CN=/m.test(subject ?? '')
      ? [finding('it has a common name (CN), with which etcd refuses every request of a user')]
      : []),
    ...(isValid ? [] : [finding(`it is valid from ${validFrom} to ${validTo}`)]),
  ];
}

/** Asks each endpoint, and compares its clock. */
async function endpointFindings({ endpoints, tls }: EtcdOptions) {
  const findings: Finding[] = [];
  const reached: string[] = [];
  for (const endpoint of endpoints) {
    using gateway = new Gateway(endpoint, tls);
    try {
      const { date } = await gateway.post('maintenance/status', {}, undefined, ANSWER_MS);
      reached.push(endpoint);
      const ahead = date === undefined ? 0 : Date.parse(date) - Date.now();
      if (Math.abs(ahead) > CLOCK_MS)
        findings.push({
          name: 'cluster-clock',
          what: `the clock of ${gateway.name} is ${Math.round(Math.abs(ahead) / 1000)} s ${ahead > 0 ? 'ahead of' : 'behind'} that of this host`,
          remedy: 'timedatectl set-ntp true, on both',
        });
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      const { hostname, port } = new URL(endpoint);
      findings.push({
        name: error.kind === 'not-permitted' ? 'etcd-certificate' : 'etcd-unreachable',
        what: error.message,
        remedy: `start etcd on ${hostname}, and let its packet filter accept TCP port ${port || 443}; compare tls with its options`,
      });
    }
  }
  return { findings, endpoints: reached };
}

/** Tries what the user has to do, by transactions that change nothing, and whether the cluster has this director. */
async function userFindings(
  settings: ClusterSettings,
  options: EtcdOptions,
  role: 'director' | 'server',
): Promise<Finding[]> {
  const { cluster, node, user } = settings;
  using client = new EtcdClient({ ...options, timeout: ANSWER_MS });
  const store = storeOf(client, cluster);
  const { keys } = store;
  const written =
    role === 'server'
      ? [keys.server(node)]
      : [keys.member(node), keys.evicted(node), keys.rules, keys.halt(0), keys.slot('x', 0), `${keys.log}x`];
  try {
    for (const key of written) {
      const denied = await client.txn([{ key, modRevision: NEVER }], [{ put: key, value: '' }]).then(
        () => undefined,
        (error: unknown) => isDenied(error),
      );
      if (!denied) continue;
      const name = user ?? 'a client without user';
      return [
        {
          name: 'etcd-user',
          what: `${name} may not write ${key}: ${denied.message}`,
          remedy: `check user and password, and grant its role what docs/cluster.md lists (etcdctl user get ${user ?? 'USER'} --detail)`,
        },
      ];
    }
    if (role === 'server') return [];
    const { meta, nodes, evicted } = await store.view();
    const known = copiedState(settings);
    const problem = evicted.has(node)
      ? `${node} is evicted`
      : !nodes.has(node)
        ? `${node} is not a director of the cluster ${cluster}`
        : known !== undefined && known.id !== meta?.id
          ? `etcd has another cluster ${cluster} than the one that this director has joined`
          : undefined;
    const remedy = 'lvs-director cluster join, with the token of the cluster';
    return problem === undefined ? [] : [{ name: 'cluster-member', what: problem, remedy }];
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    const name = error instanceof EtcdError ? 'etcd-unreachable' : 'cluster-member';
    const remedy =
      error instanceof EtcdError ? 'etcdctl endpoint status --cluster' : 'lvs-director cluster init, or join';
    return [{ name, what: error.message, remedy }];
  }
}

/** Returns the error if etcd denies a request; throws others. */
function isDenied(error: unknown): EtcdError {
  if (error instanceof EtcdError && error.kind === 'not-permitted') return error;
  throw error;
}

const folderOf = ({ state, cluster }: ClusterSettings): string => join(state, cluster);

function copiedState(settings: ClusterSettings): { id?: unknown; generation?: unknown } | undefined {
  try {
    return JSON.parse(readFileSync(join(folderOf(settings), 'cluster.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Returns the path of the configuration in the copy of a director; undefined: there is none. */
export async function copiedConfiguration(path: string): Promise<string | undefined> {
  try {
    const settings = await readClusterSettings(path);
    const generation = copiedState(settings)?.generation;
    return Number.isSafeInteger(generation) && generation !== 0
      ? join(folderOf(settings), `generation-${generation}.yaml`)
      : undefined;
  } catch (error) {
    if (error instanceof LvsError) return undefined;
    throw error;
  }
}

function copyFindings(settings: ClusterSettings, path: string): Finding[] {
  const folder = folderOf(settings);
  const finding = (what: string, remedy: string): Finding[] => [{ name: 'cluster-copy', what, remedy }];
  if (copiedState(settings) === undefined)
    return finding(
      `${folder}: no copy of the cluster's state`,
      `lvs-director cluster join --file ${path}, as the user of the director`,
    );
  const { uid, mode } = statSync(folder);
  const owner = userOfDirector(settings);
  if (owner !== undefined && owner !== uid)
    return finding(
      `${folder}: owned by user ${uid}: expected ${owner}, as which the director runs`,
      `chown -R ${owner} ${settings.state}`,
    );
  if ((mode & 0o077) !== 0)
    return finding(`${folder}: other users can read it: expected mode 0700`, `chmod 0700 ${folder}`);
  return [];
}

/** Returns the user of the running director, or else the owner of the password file; undefined: neither is known. */
function userOfDirector({ passwordFile }: ClusterSettings): number | undefined {
  const [instance] = instancesIn(unixSockets());
  const path = instance === undefined ? passwordFile : `/proc/${pidOf(instance)}`;
  try {
    return path === undefined ? undefined : statSync(path).uid;
  } catch {
    return undefined;
  }
}
