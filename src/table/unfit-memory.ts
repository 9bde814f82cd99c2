/** Memory of another process is not a table of this layout, or contains what no director or program writes. */
export class UnfitMemory extends Error {
  /** `reason`: what is wrong, and where. */
  constructor(reason: string) {
    super(reason);
    this.name = 'UnfitMemory';
  }
}

/** Throws UnfitMemory unless the condition holds. */
export function assertFit(isFit: boolean, reason: () => string): void {
  if (!isFit) throw new UnfitMemory(reason());
}
