/** Output of `ipvsadm -h` and `-v`. */

/** The version whose grammar and layouts are implemented: scripts compare it. */
export const VERSION = 'ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n';

export const HELP = `${VERSION}
Usage:
  ipvsadm -A|-E SERVICE [-s NAME] [-p [SECONDS]] [-M MASK] [--pe ENGINE] [-o] [-b FLAGS]
  ipvsadm -D SERVICE
  ipvsadm -a|-e SERVICE -r SERVER [-g|-i|-m] [-w WEIGHT] [-x UPPER] [-y LOWER] [tunnel options]
  ipvsadm -d SERVICE -r SERVER
  ipvsadm -L|-l [SERVICE] [layout options]      (ipvsadm alone lists everything)
  ipvsadm -Z [SERVICE]
  ipvsadm -C
  ipvsadm -S [-n]
  ipvsadm -R                                    (reads what -S wrote)
  ipvsadm --set TCP TCPFIN UDP
  ipvsadm --start-daemon master|backup [daemon options]
  ipvsadm --stop-daemon master|backup
  ipvsadm -h | -v

Commands (one, and first):
  -A --add-service       a new virtual service
  -E --edit-service      other options for a service; what is not given takes its default
  -D --delete-service    a service and its destinations away
  -a --add-server        a new destination of a service
  -e --edit-server       other options for a destination; what is not given takes its default
  -d --delete-server     a destination away; its connections wait for it to come back
  -L -l --list           the table, the connections, the time-outs or the sync daemons
  -Z --zero              counters of a service, or of all, to zero
  -C --clear             all services away
  -S --save              the rules as lines for -R; thresholds are not among them
  -R --restore           a command from each line of the standard input
     --set               time-outs in seconds: TCP, TCP after a FIN, UDP; 0 leaves one as it is
     --start-daemon      a sync daemon: kept and listed, its work on the wire is not there yet
     --stop-daemon       no sync daemon any more
  -h --help              this text
  -v --version           the version that this is compatible with

SERVICE is one of:
  -t --tcp-service    HOST:PORT | [IPV6]:PORT   port 0, all ports, with -p only
  -u --udp-service    HOST:PORT | [IPV6]:PORT
     --sctp-service   HOST:PORT | [IPV6]:PORT
  -f --fwmark-service MARK                      a firewall mark above 0; followed by -6 for IPv6

Options of services:
  -s --scheduler   NAME        rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos (default wlc)
  -p --persistent  [SECONDS]   a client keeps its destination (default 360)
  -M --netmask     MASK        clients that count as one: a mask, or leading bits for IPv6
     --pe          ENGINE      persistence by content: sip
  -o --ops                     one-packet scheduling: UDP and firewall marks
  -b --sched-flags FLAGS       with commas: sh-fallback,sh-port mh-fallback,mh-port flag-1,flag-2,flag-3

Options of destinations:
  -r --real-server HOST:PORT   without port: the service's
  -g --gatewaying              direct routing (default)
  -i --ipip                    tunnel
  -m --masquerading            network address translation
  -w --weight      WEIGHT      share of the work; 0 keeps connections and takes no new ones (default 1)
  -x --u-threshold UPPER       connections from which there are no new ones; 0: no such limit
  -y --l-threshold LOWER       connections below which there are new ones again
     --tun-type    TYPE        ipip, gue or gre (default ipip)
     --tun-port    PORT        of gue
     --tun-nocsum --tun-csum --tun-remcsum      outer checksum of gue and gre: none, one, remote (gue)

Layout options:
  -n --numeric                 numbers instead of names
  -c --connection              connections and templates
     --timeout --daemon        time-outs; sync daemons
     --stats --rate            totals; per second
  -X --exact                   all digits of --stats and --rate
     --thresholds --persistent-conn --tun-info  other columns
     --nosort --sort           as the director holds them; sorted (default)

Daemon options:
  --mcast-interface NAME (eth0)   --mcast-group ADDRESS (224.0.0.81)   --mcast-port PORT (8848)
  --mcast-ttl TTL (1)   --syncid ID (0)   --sync-maxlen OCTETS (by the interface's MTU)

The director is asked over the unix socket that the variable LVS_SOCKET names (/run/lvs/director.sock).
`;
