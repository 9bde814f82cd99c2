#!/usr/bin/env node
/** ipvsadm: lists and changes the rules of a director. */
import { inProcess } from '../ipvsadm/process.ts';
import { runIpvsadm } from '../ipvsadm/run.ts';

await inProcess('ipvsadm', (at) => runIpvsadm(process.argv.slice(2), at));
