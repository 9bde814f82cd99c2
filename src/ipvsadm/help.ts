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
  -A --add-service       add a virtual service
  -E --edit-service      change a service; an option that is not given gets its default
  -D --delete-service    delete a service and its destinations
  -a --add-server        add a destination to a service
  -e --edit-server       change a destination; an option that is not given gets its default
  -d --delete-server     delete a destination; its connections continue if it is added again
  -L -l --list           list the table, the connections, the timeouts or the sync daemons
  -Z --zero              set the counters of a service, or of all, to zero
  -C --clear             delete all services
  -S --save              print the rules as lines for -R; thresholds are not among them
  -R --restore           run a command from each line of the standard input
     --set               set timeouts in seconds: TCP, TCP after a FIN, UDP; 0 leaves one unchanged
     --start-daemon      start a sync daemon: send connections to other directors, or receive theirs
     --stop-daemon       stop a sync daemon
  -h --help              print this text
  -v --version           print the version that this is compatible with

SERVICE is one of:
  -t --tcp-service    HOST:PORT | [IPV6]:PORT   port 0, all ports, with -p only
  -u --udp-service    HOST:PORT | [IPV6]:PORT
     --sctp-service   HOST:PORT | [IPV6]:PORT
  -f --fwmark-service MARK                      a firewall mark above 0; followed by -6 for IPv6

Options of services:
  -s --scheduler   NAME        rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos (default wlc)
  -p --persistent  [SECONDS]   send a client to the same destination (default 360)
  -M --netmask     MASK        treat a network as one client: a netmask, or a prefix length for IPv6
     --pe          ENGINE      persistence by content: sip
  -o --ops                     one-packet scheduling: UDP and firewall marks
  -b --sched-flags FLAGS       comma-separated: sh-fallback,sh-port mh-fallback,mh-port flag-1,flag-2,flag-3

Options of destinations:
  -r --real-server HOST:PORT   without port: the service's
  -g --gatewaying              direct routing (default)
  -i --ipip                    tunnel
  -m --masquerading            network address translation
  -w --weight      WEIGHT      share of new connections; 0 accepts no new ones (default 1)
  -x --u-threshold UPPER       connections at which no new ones are accepted; 0: no limit
  -y --l-threshold LOWER       connections below which new ones are accepted again
     --tun-type    TYPE        ipip, gue or gre (default ipip)
     --tun-port    PORT        of gue
     --tun-nocsum --tun-csum --tun-remcsum      outer checksum of gue and gre: none, full, remote (gue)

Layout options:
  -n --numeric                 print numbers instead of names
  -c --connection              list connections and templates
     --timeout --daemon        list timeouts; sync daemons
     --stats --rate            print totals; rates per second
  -X --exact                   print all digits of --stats and --rate
     --thresholds --persistent-conn --tun-info  print these columns
     --nosort --sort           keep the order of the director; sort (default)

Daemon options:
  --mcast-interface NAME (eth0)   --mcast-group ADDRESS (224.0.0.81)   --mcast-port PORT (8848)
  --mcast-ttl TTL (1)   --syncid ID (0)   --sync-maxlen BYTES (default: from the MTU)

The variable LVS_SOCKET names the director's unix socket (default /run/lvs/director.sock).
`;
