/** Makes programs of the kernel follow the rules that give packets firewall marks. */
import type { Director } from '../../director/director.ts';
import { countPart, type OwnedChange } from '../../model/owned-packets.ts';
import type { ServiceAddress } from '../../model/service.ts';
import type { AdmissionParts } from '../../offload/admit.ts';
import { markedCode } from '../../offload/marked.ts';
import { MAX_MARK_RULES, type MarkedRule, markedRules } from '../../offload/marks.ts';
import type { ProgramTable } from '../../offload/program-table.ts';
import { MARKED } from '../../offload/scratch.ts';
import type { TableMemory } from '../../table/memory.ts';
import { SETTINGS } from '../../table/record-layout.ts';
import { settingsWords } from '../../table/settings-record.ts';

export interface KernelMarksOptions {
  readonly programs: Pick<ProgramTable, 'load' | 'unload'>;
  readonly parts: AdmissionParts;
  readonly memory: TableMemory;
}

/** Where the rules have no program, all packets of no known connection go up to the director, which applies them. */
export class KernelMarks {
  readonly #options: KernelMarksOptions;
  /** Services by mark whose packets are the director's, as `mark/family`. */
  readonly #owned = new Map<string, number>();
  /** What the loaded program was made of; undefined: that of a former director may be meant. */
  #loaded: string | undefined;
  #isLoaded = false;

  constructor(options: KernelMarksOptions) {
    this.#options = options;
  }

  /** Reports whether programs find services by their marks. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** Includes a change of the services. */
  change({ added, removed }: OwnedChange): void {
    for (const [parts, step] of [
      [added, 1],
      [removed, -1],
    ] as const)
      for (const { service, destination } of parts)
        if (!destination && 'mark' in service)
          countPart(this.#owned, `${service.mark}/${service.family}`, step);
  }

  /** Follows rules and services. Throws VerifierError and SystemCallError if the program cannot be loaded. */
  update({ marks, services }: Director['context']): void {
    const rules =
      this.#owned.size === 0 ? [] : markedRules(marks.matchers, this.#ownedServices(), services.all);
    const wanted = JSON.stringify(rules);
    if (wanted === this.#loaded) return;
    this.#loaded = wanted;
    this.#isLoaded = false;
    const isMarked = rules.some(({ services: its }) => its[4] !== 0 || its[6] !== 0);
    if (isMarked) this.#set(1);
    try {
      if (isMarked && rules.length <= MAX_MARK_RULES) this.#load(rules);
    } finally {
      if (!this.#isLoaded) this.#options.programs.unload(MARKED);
      if (!isMarked) this.#set(0);
    }
  }

  #load(rules: readonly MarkedRule[]): void {
    const { programs, parts } = this.#options;
    programs.load(MARKED, 'lvs_marked', markedCode(parts, rules));
    this.#isLoaded = true;
  }

  #ownedServices(): ServiceAddress[] {
    return [...this.#owned.keys()].map((key) => {
      const [mark, family] = key.split('/');
      return { mark: Number(mark), family: family === '6' ? 6 : 4 };
    });
  }

  #set(marked: 0 | 1): void {
    settingsWords(this.#options.memory)[SETTINGS.marked >> 2] = marked;
  }
}
