"""The looks of every page that `runkit.report` builds: light and dark, wide and narrow, on paper.

In: nothing. Out: one style sheet of 9 kB. Classes are those that the builder writes; colours are named once.
"""

STYLE = """
:root { --ink: #1d2327; --soft: #5d676e; --line: #dfe3e6; --paper: #fbfbfa; --card: #fff; --kept: #2f7f79;
  --rejected: #c8714c; --lost: #efd9ce; --mark: #6b4bb3; --chip: #eef1f2;
  --even: #dcebf8; --odd: #fbeccb; --bytes: #e9e0f8;
  --s0: #2f7f79; --s1: #d0632f; --s2: #6b4bb3; --s3: #2a6fb8; --s4: #b08410; --s5: #b5387f; --s6: #5b7f23;
  --s7: #737b82; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e6e8; --soft: #98a3aa; --line: #323a40;
  --paper: #16191c;
  --card: #1d2226; --kept: #58aaa2; --rejected: #d98a66; --lost: #4a352b; --mark: #b49af0;
  --chip: #2a3137; --even: #1f3a52; --odd: #493c1c; --bytes: #3a2d59;
  --s0: #58aaa2; --s1: #e58f63; --s2: #b49af0; --s3: #6fa9e6; --s4: #d9b04c; --s5: #e07fb6; --s6: #9cc069;
  --s7: #a3abb1; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0 auto; padding: 0 24px 64px; max-width: 1180px; background: var(--paper); color: var(--ink);
  font: 15px/1.6 system-ui, -apple-system, "Segoe UI", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei",
  "Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 27px; margin: 40px 0 2px; line-height: 1.25; }
h2 { font-size: 19px; margin: 46px 0 6px; padding-top: 12px; border-top: 1px solid var(--line); }
h3 { font-size: 15.5px; margin: 28px 0 4px; }
p { margin: 6px 0; max-width: 84ch; }
.note, footer { color: var(--soft); }
footer { margin-top: 48px; font-size: 13px; }
a { color: var(--kept); text-decoration: none; }
a:hover { text-decoration: underline; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 14px 0 0; }
code, pre, .address { font-family: ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono",
  "Noto Sans Mono CJK SC", monospace;
  font-size: .88em; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px;
  overflow-x: auto;
  line-height: 1.45; overflow-wrap: normal; }
ul { padding-left: 20px; margin: 8px 0; }
.figures { display: flex; flex-wrap: wrap; gap: 12px; margin: 22px 0 8px; }
.figures > div { flex: 1 1 150px; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 12px 16px; }
.figures dt { color: var(--soft); font-size: 13.5px; }
.figures dd { margin: 0; }
.figures b { display: block; white-space: nowrap; font-size: 25px; font-weight: 600; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
.figures span { color: var(--soft); font-size: 13px; }
.scroll { overflow-x: auto; margin: 10px 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
caption { text-align: left; font-weight: 600; padding: 6px 0; }
th { text-align: left; overflow-wrap: normal; font-weight: 500; color: var(--soft); font-size: 13px;
  vertical-align: bottom; }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); }
td { vertical-align: top; unicode-bidi: isolate; overflow-wrap: break-word; }
td:first-child { min-width: 150px; }
.funnel td:first-child { min-width: 84px; }
th:last-child, td:last-child { padding-right: 2px; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
th.n { white-space: normal; }
.w { width: 34%; min-width: 120px; }
td small, .why { display: block; color: var(--soft); font-size: 13px; }
.pair { display: grid; align-items: start; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr));
  gap: 6px 40px; }
.bar { display: block; width: 100%; height: 12px; margin-top: 5px; border-radius: 2px;
  background: var(--chip); }
.funnel .bar { height: 32px; margin: 0; background: none; border-radius: 0; }
.funnel td { padding-top: 0; padding-bottom: 0; vertical-align: middle; border-bottom: 0; }
.kept { fill: var(--kept); } .rejected { fill: var(--rejected); } .lost { fill: var(--lost); }
.key { color: var(--soft); font-size: 13px; display: inline-flex; gap: 6px; align-items: center;
  margin-right: 18px; }
.key svg { width: 12px; height: 12px; margin: 0; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr));
  gap: 14px; margin: 14px 0; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 10px 14px 6px;
  display: flex; flex-direction: column; justify-content: space-between; }
figcaption { font-size: 13px; line-height: 1.45; color: var(--soft); margin-bottom: 8px; }
figcaption a { white-space: nowrap; }
figcaption code { display: block; color: var(--ink); font-size: 13.5px; }
.histogram { width: 100%; height: auto; overflow: visible; }
.histogram text { font-size: 11.5px; fill: var(--soft); font-variant-numeric: tabular-nums; }
.histogram text.threshold { fill: var(--mark); paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
line.axis { stroke: var(--soft); stroke-width: .6; }
line.threshold { stroke: var(--mark); stroke-width: 1.3; stroke-dasharray: 4 2; }
.chart { width: 100%; height: auto; overflow: visible; }
.chart text { font-size: 11.5px; fill: var(--soft); font-variant-numeric: tabular-nums; }
.gridline { stroke: var(--line); stroke-width: .8; }
.chart path, line:is(.s0, .s1, .s2, .s3, .s4, .s5, .s6, .s7) { fill: none; stroke-width: 1.6; stroke-linecap: round;
  stroke-linejoin: round; }
.chart .raw-line { stroke-width: .8; opacity: .38; }
.chart .mark { stroke-width: 4.5; }
.s0 { stroke: var(--s0); } .s1 { stroke: var(--s1); } .s2 { stroke: var(--s2); } .s3 { stroke: var(--s3); }
.s4 { stroke: var(--s4); } .s5 { stroke: var(--s5); } .s6 { stroke: var(--s6); } .s7 { stroke: var(--s7); }
.dashed { stroke-dasharray: 6 4; } .dotted { stroke-dasharray: 1 4; } .mark { stroke-dasharray: none; }
.key .sign { width: 18px; }
.strip { fill: transparent; } .box { fill: var(--card); stroke: var(--line); }
.reading > :not(.strip) { visibility: hidden; pointer-events: none; }
.reading:hover > * { visibility: visible; }
.chart .reading text { fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
figcaption b { color: var(--ink); font-size: 14px; }
.charts { display: grid; align-items: stretch; gap: 14px; margin: 14px 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }
.written { white-space: pre-wrap; }
.written b { margin-right: .15em; }
summary { cursor: pointer; }
.folded { margin: 8px 0; }
.folded > summary { color: var(--kept); }
.sample { background: var(--card); border: 1px solid var(--line); border-radius: 10px; margin: 8px 0;
  padding: 9px 14px; }
.sample > summary { list-style: none; }
.sample > summary::-webkit-details-marker { display: none; }
.sample .head { display: flex; flex-wrap: wrap; gap: 2px 8px; align-items: baseline; }
.raw { unicode-bidi: isolate; }
.sample .address { display: block; color: var(--soft); font-size: 12.5px; overflow: hidden;
  text-overflow: ellipsis;
  white-space: nowrap; }
.sample .text { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; line-clamp: 3;
  overflow: hidden;
  white-space: pre-wrap; font-size: 14px; line-height: 1.55; margin-top: 3px; max-width: 100ch; }
.sample[open] .text { display: block; }
.sample[open] .address { white-space: normal; }
.chip { background: var(--chip); border-radius: 5px; padding: 0 7px; font-size: 12.5px;
  font-variant-numeric: tabular-nums; }
.tokens { display: flex; flex-wrap: wrap; gap: 5px 3px; margin: 5px 0; align-items: flex-start; }
.token { max-width: 100%; border-radius: 5px; padding: 1px 5px 0; text-align: center; unicode-bidi: isolate; }
.token b { display: block; font-weight: 400; font-size: 16px; line-height: 1.45; min-width: 1ch; }
.token span { display: block; font-size: 10.5px; line-height: 1.5; color: var(--soft);
  font-variant-numeric: tabular-nums; }
.even { background: var(--even); } .odd { background: var(--odd); }
.bytes { background: var(--bytes); box-shadow: inset 0 0 0 1px var(--mark); }
.unknown { background: var(--lost); box-shadow: inset 0 0 0 1px var(--rejected); }
.special, .added { background: var(--chip); box-shadow: inset 0 0 0 1px var(--soft); }
.dropped b { color: var(--soft); }
.sample dl { display: grid; grid-template-columns: max-content 1fr; gap: 1px 14px; margin: 8px 0 2px;
  font-size: 13px; }
.sample dt { color: var(--soft); } .sample dd { margin: 0; }
.pick { position: absolute; opacity: 0; pointer-events: none; }
.pick + label { display: inline-block; padding: 3px 12px; margin: 10px 6px 0 0; border: 1px solid var(--line);
  border-radius: 999px; cursor: pointer; color: var(--soft); font-size: 13.5px; }
.pick:checked + label { background: var(--kept); border-color: var(--kept); color: var(--paper); }
.pick:focus-visible + label { outline: 2px solid var(--mark); outline-offset: 2px; }
.picked { display: none; }
.pick:nth-of-type(1):checked ~ .picked:nth-of-type(1), .pick:nth-of-type(2):checked ~ .picked:nth-of-type(2)
  { display: block; }
@media (max-width: 560px) { td.w, th.w { display: none; }
  th, td { padding-right: 8px; font-size: 13px; } th { font-size: 12px; }
  td:first-child { min-width: 116px; }
  .chart text { font-size: 15px; }
  .funnel td.w, .funnel th.w { display: table-cell; min-width: 84px; } body { padding: 0 14px 40px;
  } h1 { font-size: 23px; margin-top: 24px; }
  .figures b { font-size: 20px; }
  .sample dl { grid-template-columns: 1fr; } .sample dd { margin-bottom: 4px; } }
@media print { .sample .text { display: block; } body { max-width: none; } }
"""
