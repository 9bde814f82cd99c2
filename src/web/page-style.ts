/** The style sheet of the status page, for light and dark, wide and narrow displays. */

export const PAGE_STYLE = `:root {
  color-scheme: light dark;
  --ground: #fbfbfa; --card: #ffffff; --ink: #1d2126; --quiet: #5a6470; --line: #d9dde2;
  --good: #14713d; --fair: #8a5200; --bad: #b3261e; --in: #1c62c4; --out: #14713d; --bar: #8db4ea;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171b; --card: #1c2026; --ink: #e7eaee; --quiet: #a3adb8; --line: #343b44;
    --good: #6fd39a; --fair: #f0b35b; --bad: #ff8f85; --in: #7fb2ff; --out: #6fd39a; --bar: #39597f;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
body > header, main, footer { max-width: 80rem; margin: 0 auto; padding: 0 1rem; }
body > header { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; align-items: baseline; padding-top: 1rem; }
h1 { font-size: 1.35rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 1.75rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0; font-variant-numeric: tabular-nums; }
p { margin: .25rem 0; }
.skip { position: absolute; left: -999rem; }
.skip:focus { position: static; display: block; padding: .5rem 1rem; }
:focus-visible { outline: 3px solid var(--in); outline-offset: 2px; }
a { color: var(--in); }
.quiet, small, dt { color: var(--quiet); }
[role=status] { font-weight: 600; }
[role=status].good::before { content: "\\2713\\a0"; }
[role=status].bad::before { content: "\\2717\\a0"; }
[role=status].good { color: var(--good); }
[role=status].bad, [role=status] strong { color: var(--bad); }
.overview, .service, main > section > table, .events { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.overview { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; justify-content: space-between; padding: .75rem 1rem; margin-top: .75rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .5rem 1.75rem; margin: 0; }
.tiles dt { font-size: .8rem; }
.tiles dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tiles small { font-size: .8rem; }
.service { margin: 0 0 1rem; content-visibility: auto; contain-intrinsic-size: auto 12rem; }
.service > header { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; align-items: center; padding: .6rem 1rem; }
.service > header .graph { margin-left: auto; }
.service > p { padding: 0 1rem .6rem; }
.graph { background: var(--ground); border: 1px solid var(--line); border-radius: 4px; max-width: 100%; }
.graph polyline { fill: none; stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.graph .in { stroke: var(--in); }
.graph .out { stroke: var(--out); stroke-dasharray: 3 2; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
main > section > table { width: auto; border-collapse: separate; border-spacing: 0; }
th, td { text-align: left; padding: .3rem .75rem; border-top: 1px solid var(--line); vertical-align: top; font-weight: 400; }
thead th { font-size: .8rem; color: var(--quiet); vertical-align: bottom; }
main > section > table thead th { border-top: 0; }
.number { text-align: right; white-space: nowrap; }
tbody th { white-space: nowrap; }
td small { display: block; min-width: 11rem; max-width: 24rem; overflow-wrap: anywhere; }
td.number small { display: inline; min-width: 0; }
.state { font-weight: 600; white-space: nowrap; }
.state::before { display: inline-block; width: 1.1em; }
.good .state::before { content: "\\25CF"; color: var(--good); }
.fair .state::before { content: "\\25D0"; color: var(--fair); }
.bad .state::before { content: "\\25B2"; color: var(--bad); }
.fair .state { color: var(--fair); }
.bad .state { color: var(--bad); }
.shares { white-space: nowrap; }
.share { margin-right: .4rem; }
.share .whole { fill: var(--line); }
.share .part { fill: var(--bar); }
.share .mark { fill: var(--ink); }
.events { list-style: none; margin: 0; padding: .4rem 1rem; }
.events:empty { display: none; }
.events li { padding: .15rem 0; overflow-wrap: anywhere; }
.events time { color: var(--quiet); font-variant-numeric: tabular-nums; }
.events .warning strong { color: var(--fair); }
.events .error strong { color: var(--bad); }
footer { padding-bottom: 2rem; margin-top: 1.75rem; font-size: .9rem; }
footer dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 0; }
footer dd { margin: 0; }
.stale main { opacity: .55; }
@media (max-width: 44rem) {
  .service > header .graph, .overview .graph { margin-left: 0; width: 100%; }
  th, td { padding: .3rem .5rem; }
}
`;
