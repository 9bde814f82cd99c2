/** Executes requests of the control socket. */
import { describeRule } from '../../model/nlb.ts';
import type { ClusterAgent } from './cluster-agent.ts';
import type { ClusterRequest, ClusterResponse } from './control.ts';
import { explainClient, rulesNamed } from './explain.ts';

/** `stop`: ends the agent. Throws LvsError CONFIG for rules and addresses that do not exist. */
export const answering =
  (agent: ClusterAgent, stop: () => void) =>
  async (request: ClusterRequest): Promise<ClusterResponse> => {
    const { rules } = agent.cluster;
    const named = (text: string | undefined) =>
      text === undefined ? [...rules.keys()] : rulesNamed(rules, text);
    const list = (which: readonly number[]) => which.map((i) => describeRule(rules[i]!)).join(', ');
    switch (request.command) {
      case 'status':
        return { status: agent.status() };
      case 'drain': {
        const which = named(request.rule);
        agent.drain(which);
        return { done: `no new connections: ${list(which)}; open connections: ${agent.connections()}` };
      }
      case 'resume': {
        const which = named(request.rule);
        agent.resume(which);
        return { done: `new connections: ${list(which)}` };
      }
      case 'suspend': {
        const which = request.rule === undefined ? undefined : named(request.rule);
        await agent.suspend(which);
        const what = which ? `packets of ${list(which)}` : 'the packets of the cluster';
        return { done: `this host ignores ${what} (resume ends this)` };
      }
      case 'stop':
        stop();
        return { done: 'the agent hands its clients over, restores the host and ends' };
      case 'explain':
        return {
          explanation: explainClient(agent.cluster, request, (rule, place) => agent.ownerOf(rule, place)),
        };
      default:
        request satisfies never;
        return { error: `unknown command '${(request as ClusterRequest).command}'` };
    }
  };
