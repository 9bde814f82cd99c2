/** Finds why heartbeats of servers that join do not reach this director: interface, key, socket. */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import type { JoinDocument } from '../../config/document.ts';
import { interfaceAddresses } from '../../host/interface-addresses.ts';
import { bindReceiver, viaInterface } from '../../host/multicast.ts';
import { LvsError } from '../../model/errors.ts';
import type { Finding } from '../../realserver/doctor/finding.ts';
import { readKeyFile } from '../../runtime/host/key-file.ts';

/** IFF_MULTICAST (linux/if.h). */
const MULTICAST_FLAG = 0x1000;

/** Examines the section join of a document on the director's host. */
export async function joinFindings({ device, keyFile, group, port }: JoinDocument): Promise<Finding[]> {
  if (device === undefined || keyFile === undefined) return [];
  const findings = interfaceFindings(device, group);
  try {
    await readKeyFile(keyFile);
  } catch (error) {
    if (!(error instanceof LvsError)) throw error;
    const remedy = `(umask 077 && openssl rand -hex 32 >${keyFile}), or copy the file of another director`;
    findings.push({ name: 'join-key', what: error.message, remedy });
  }
  if (findings.every(({ name }) => name !== 'join-interface'))
    findings.push(...(await socketFindings({ interface: device, group, port })));
  return findings;
}

function interfaceFindings(device: string, group: string): Finding[] {
  const finding = (what: string, remedy: string): Finding[] => [{ name: 'join-interface', what, remedy }];
  let flags: number;
  try {
    flags = Number(readFileSync(`/sys/class/net/${device}/flags`, 'latin1'));
  } catch {
    return finding(`${device}: network interface not found`, 'name an interface of this host in join');
  }
  const is6 = group.includes(':');
  const addresses = interfaceAddresses().filter((each) => each.device === device);
  if (!addresses.some(({ address }) => address.includes(':') === is6))
    return finding(
      `${device} has no address of ${is6 ? 'IPv6' : 'IPv4'}, or is down`,
      `ip link set ${device} up, and add an address`,
    );
  if ((flags & MULTICAST_FLAG) === 0)
    return finding(`${device} receives no multicast`, `ip link set ${device} multicast on`);
  return [];
}

/** Opens the socket beside that of a director. */
async function socketFindings(to: Parameters<typeof bindReceiver>[1]): Promise<Finding[]> {
  const socket = createSocket({ type: to.group.includes(':') ? 'udp6' : 'udp4', reuseAddr: true });
  socket.on('error', () => {});
  try {
    await bindReceiver(socket, to, viaInterface(to));
    return [];
  } catch (error) {
    return [
      {
        name: 'join-socket',
        what: `heartbeats cannot be received at ${to.group}, UDP port ${to.port}: ${(error as Error).message}`,
        remedy: `ss -ulpn sport = :${to.port}; end the program that has the port, or set join.port on all hosts`,
      },
    ];
  } finally {
    socket.close();
  }
}
