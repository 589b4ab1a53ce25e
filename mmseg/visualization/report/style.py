"""The style of the page: a paper in light or dark, on a desk or a telephone."""

STYLE = '''
:root {
  color-scheme: light dark;
  --paper: #fdfcfa; --ink: #1d1f23; --quiet: #5c6068; --rule: #d9d6cf; --panel: #f4f2ed;
  --accent: #1f5c99; --on-accent: #ffffff; --warm: #b8480c; --focus: #b8480c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171b; --ink: #e6e4df; --quiet: #a3a6ad; --rule: #363a42; --panel: #1e2127;
    --accent: #7fb2e5; --on-accent: #10151b; --warm: #f0985a; --focus: #f0985a;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0 auto; max-width: 54rem; padding: 2.5rem 1.25rem 5rem; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.6 Charter, "Bitstream Charter", "Iowan Old Style", "Source Serif 4", Georgia, serif;
  font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
h1, h2, h3, table, figcaption, nav, summary, .figures, .legend, .panels, .chart {
  font-family: system-ui, "Segoe UI", Helvetica, sans-serif;
}
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 3.25rem 0 .75rem; padding-top: .9rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1.0625rem; margin: 2rem 0 .5rem; }
p { margin: .6rem 0; max-width: 40rem; }
.lead { color: var(--quiet); }
a { color: var(--accent); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--paper); padding: .5rem 1rem; z-index: 1; }
nav ol { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; padding: 0; margin: 1.1rem 0; }
nav a { display: inline-block; padding: .3rem 0; font-size: .9375rem; }
.figures { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1px; margin: 1.5rem 0; padding: 0; }
.figures div { padding: .8rem .9rem; box-shadow: 0 0 0 1px var(--rule); }
.figures dt { font-size: .8125rem; color: var(--quiet); }
.figures dd { margin: 0; font-size: 1.6rem; line-height: 1.3; font-weight: 600; }
.figures dd small { display: block; font-size: .8125rem; font-weight: 400; color: var(--quiet); }
figure { margin: 1.25rem 0; }
figcaption { font-size: .875rem; line-height: 1.5; color: var(--quiet); max-width: 40rem; margin-top: .5rem; }
figcaption b { color: var(--ink); }
.chart { display: block; width: 100%; max-width: 38rem; height: auto; font-size: 12px; }
.chart text { fill: var(--ink); }
.chart .small { font-size: 11px; fill: var(--quiet); }
.chart .tiny { font-size: 10px; }
.chart .number { font-weight: 600; }
.chart .strong { fill: var(--on-accent); }
.chart .grid { stroke: var(--rule); }
.chart .axis { stroke: var(--quiet); }
.chart .bar { fill: var(--accent); }
.chart .quiet { opacity: .55; }
.chart .whisker { stroke: var(--ink); stroke-width: 1.6; }
.chart .halo { stroke: var(--paper); stroke-width: 4.5; }
.chart .mark { fill: var(--warm); stroke: var(--paper); }
.chart .gap { fill: var(--warm); fill-opacity: .28; stroke: var(--warm); }
.chart .ideal { stroke: var(--ink); stroke-dasharray: 5 4; }
.chart .cell { fill: color-mix(in srgb, var(--accent) var(--strength), var(--panel)); }
.scroll { overflow-x: auto; margin: 1rem 0; }
.scroll .chart { min-width: 26rem; }
table { border-collapse: collapse; font-size: .875rem; line-height: 1.45; width: 100%; }
caption { text-align: left; color: var(--quiet); padding-bottom: .4rem; }
th, td { padding: .3rem .65rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
thead th { border-bottom: 2px solid var(--quiet); }
th:first-child, td:first-child, .words td, .words th,
.pairs :is(th, td):nth-child(2) { text-align: left; }
.words td { white-space: normal; }
td small { color: var(--quiet); }
tbody th { font-weight: 500; }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .5em; border: 1px solid var(--quiet);
  vertical-align: -.05em; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; list-style: none; padding: 0; font-size: .875rem; }
.example { margin: 1.6rem 0; }
.example figcaption { margin: 0 0 .4rem; }
.panels { display: grid; grid-template-columns: repeat(4, 1fr); gap: .4rem; }
.panels div { font-size: .75rem; line-height: 1.4; color: var(--quiet); }
.panels img { display: block; width: 100%; height: auto; }
@media (max-width: 40rem) {
  .figures, .panels { grid-template-columns: repeat(2, 1fr); }
  th, td { padding: .3rem .4rem; }
  body { padding-top: 1.5rem; }
}
details { margin: .75rem 0; }
summary { cursor: pointer; font-size: .9375rem; padding: .35rem 0; color: var(--accent); }
pre { background: var(--panel); padding: 1rem; overflow-x: auto; font-size: .8125rem; line-height: 1.5; }
@media print { nav, .skip { display: none; } body { max-width: none; } figure, .example { break-inside: avoid; } }
'''
