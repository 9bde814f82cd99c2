/** Opens a cluster of directors by its settings file: reads the file, the password and the certificates. */
import { readFile } from 'node:fs/promises';
import { Keys } from '../../cluster/keys.ts';
import { ClusterStore } from '../../cluster/store.ts';
import { readRegularFile } from '../../config/load.ts';
import { parseClusterSettings } from '../../config/yaml/cluster-settings.ts';
import { EtcdClient, type EtcdOptions } from '../../etcd/client.ts';
import type { ClusterSettings } from '../../model/cluster.ts';
import { LvsError } from '../../model/errors.ts';
import { readSecretFile } from '../host/secret-file.ts';

/** Maximum length of a password and of a private key, bytes. */
const MAX_PASSWORD_BYTES = 1024;
const MAX_KEY_BYTES = 64 << 10;

export interface ClusterAccess extends Disposable {
  readonly settings: ClusterSettings;
  readonly store: ClusterStore;
}

/** Resolves without a request to etcd. Throws LvsError CONFIG for a file with errors. */
export async function openClusterAccess(path: string): Promise<ClusterAccess> {
  const settings = await readClusterSettings(path);
  const client = new EtcdClient(await etcdOptionsOf(settings));
  const store = storeOf(client, settings.cluster);
  return { settings, store, [Symbol.dispose]: () => client[Symbol.dispose]() };
}

/** Returns the keys of a cluster in an etcd. */
export const storeOf = (client: EtcdClient, cluster: string): ClusterStore =>
  new ClusterStore(client, new Keys(cluster), cluster);

/** Reads a settings file. Throws LvsError CONFIG. */
export async function readClusterSettings(path: string): Promise<ClusterSettings> {
  let text: string;
  try {
    text = (await readRegularFile(path)).toString('utf8');
  } catch (cause) {
    throw new LvsError('CONFIG', `${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  return parseClusterSettings(text, path);
}

/** Reads the certificates and the password of settings. Throws LvsError. */
export async function etcdOptionsOf(settings: ClusterSettings): Promise<EtcdOptions> {
  const { endpoints, tls, user, passwordFile } = settings;
  return {
    endpoints,
    ...(tls && { tls: await certificatesOf(tls) }),
    ...(user !== undefined && { user: { name: user, password: await passwordOf(passwordFile!) } }),
  };
}

/** The password is the first line. */
async function passwordOf(path: string): Promise<string> {
  const text = await readSecretFile(path, 'password file', MAX_PASSWORD_BYTES);
  const password = Buffer.from(text, 'latin1').toString('utf8').split(/\r?\n/, 1)[0]!;
  if (password === '') throw new LvsError('CONFIG', `password file ${path}: empty: expected a password`);
  return password;
}

async function certificatesOf({ ca, cert, key }: NonNullable<ClusterSettings['tls']>) {
  return {
    ...(ca !== undefined && { ca: await pem(ca) }),
    ...(cert !== undefined && { cert: await pem(cert) }),
    ...(key !== undefined && { key: await readSecretFile(key, 'private key', MAX_KEY_BYTES) }),
  };
}

async function pem(path: string): Promise<string> {
  try {
    const text = await readFile(path, 'latin1');
    if (text.includes('-----BEGIN ')) return text;
  } catch (cause) {
    throw new LvsError('CONFIG', `certificate ${path}: cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
  throw new LvsError('CONFIG', `certificate ${path}: not a PEM file`);
}
