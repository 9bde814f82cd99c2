/** How a director treats connections that another director has scheduled (sloppy_tcp). */
export interface Takeover {
  /** ms for which earlier lists of destinations select the destination of such a connection; 0: never. */
  history: number;
  /** Part of the table up to which packets of unknown connections make new ones, 0 to 1; 0: as in Linux, without a limit. */
  share: number;
}
