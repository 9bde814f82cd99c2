/** ipvsadm, which lists and changes the rules of a director, and its two scripts. */
import { inProcess } from '../../ipvsadm/process.ts';
import { runIpvsadm } from '../../ipvsadm/run.ts';
import { runRestore, runSave } from '../../ipvsadm/scripts.ts';

const args = process.argv.slice(2);

export const ipvsadm = () => inProcess('ipvsadm', (at) => runIpvsadm(args, at));
/** Prints the director's rules in the format of ipvsadm-restore. */
export const save = () => inProcess('ipvsadm-save', (at) => runSave(args, at));
/** Adds the rules of the standard input to a director. */
export const restore = () => inProcess('ipvsadm-restore', (at) => runRestore(args, at));
