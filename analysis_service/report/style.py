"""The page's style sheet: readable type, light and dark by the reader's choice, plain on paper."""

from analysis_service.report import icons, svg
from analysis_service.report.palette import DARK, LIGHT, variables

COLORS = (
    f":root{{color-scheme:light dark;{variables(LIGHT)}}}"
    f"@media(prefers-color-scheme:dark){{:root{{{variables(DARK)}}}}}"
    f"@media print{{:root{{{variables(LIGHT)}}}}}"
)
_PAGE = """
*{box-sizing:border-box}
html{background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}
body{max-width:70rem;margin:0 auto;padding:1.5rem 1.25rem 4rem}
h1,h2,h3{line-height:1.25;overflow-wrap:anywhere;margin:0}
h1{font-size:1.05rem;font-weight:600;color:var(--soft)}
h2{font-size:1.25rem}
h3{font-size:1rem;margin-top:1.5rem}
p{margin:.4rem 0;overflow-wrap:anywhere}
a{color:var(--stable)}
a:focus-visible,summary:focus-visible,[tabindex]:focus-visible{outline:2px solid var(--stable);outline-offset:2px}
code,pre{font:13px/1.45 ui-monospace,SFMono-Regular,'DejaVu Sans Mono',monospace}
pre{margin:.2rem 0 .8rem;padding:.6rem .8rem;background:var(--panel);border-radius:6px;
white-space:pre-wrap;overflow-wrap:anywhere}
.banner{display:flex;gap:1.1rem;align-items:flex-start;
margin:.8rem 0 1.2rem;padding:1.1rem 1.25rem;background:var(--panel);
border-left:6px solid var(--idle);border-radius:8px}
.banner.good{border-color:var(--good)}.banner.bad{border-color:var(--bad)}.banner.unsure{border-color:var(--unsure)}
.banner.error{border-color:var(--error)}
.word{font-size:1.9rem;line-height:1.1;font-weight:700;letter-spacing:.01em}
.banner>div{min-width:0}
.good>.word,.good .word{color:var(--good)}.bad .word{color:var(--bad)}.unsure .word{color:var(--unsure)}
.error .word{color:var(--error)}.idle .word{color:var(--idle)}
.chip{display:inline-block;margin:.15rem .4rem .15rem 0;
padding:.05rem .55rem;border:1px solid var(--edge);border-radius:1rem;
font-size:.85rem;overflow-wrap:anywhere}
dl.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(16.5rem,1fr));gap:.55rem 1.4rem;margin:.8rem 0}
dl.facts>div{min-width:0}
dt{color:var(--soft);font-size:.82rem}
dd{margin:0;overflow-wrap:anywhere;white-space:pre-line}
ul.plain{list-style:none;margin:.5rem 0;padding:0}
ul.plain li{margin:.2rem 0;overflow-wrap:anywhere}
.warning{border-left:3px solid var(--unsure);padding-left:.7rem}
section.metric{margin-top:2.4rem;padding-top:1.1rem;border-top:2px solid var(--grid)}
.head{display:flex;gap:.6rem;align-items:flex-start}
.head .icon{margin-top:.1rem}
figure{margin:1.3rem 0 0}
figcaption{font-weight:600;margin-bottom:.1rem}
.note{color:var(--soft);font-size:.85rem}
table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums;width:100%}
caption{text-align:left;color:var(--soft);padding:.2rem 0}
th,td{padding:.28rem .7rem .28rem 0;text-align:left;vertical-align:top;
border-bottom:1px solid var(--grid);overflow-wrap:anywhere}
th{color:var(--soft);font-weight:600}
.list td:first-child{min-width:11rem}.list td:nth-child(2){white-space:nowrap}
.list td:nth-child(3){min-width:8.5rem}
.lone{overflow-x:auto}
.lone caption{color:var(--ink);font-weight:600;font-size:1rem;padding-top:1.5rem}
.scroll{max-height:22rem;overflow:auto}
.scroll thead th{position:sticky;top:0;background:var(--ground)}
.scroll td,.scroll th{min-width:4.5rem}
details{margin:.2rem 0 .6rem}
summary{cursor:pointer;color:var(--soft);font-size:.88rem}
footer{margin-top:3rem;color:var(--soft);font-size:.85rem}
@media(max-width:40rem){.list td:nth-child(4),.list th:nth-child(4){display:none}.list td:nth-child(n){min-width:0}
figure .wide{overflow-x:auto}
figure svg.chart{min-width:36rem}.word{font-size:1.5rem}}
@media print{html{font-size:11px}body{max-width:none;padding:0}figure,.banner,dl.facts>div{break-inside:avoid}
section.metric{break-inside:auto}.lone{overflow-x:auto}
.lone caption{color:var(--ink);font-weight:600;font-size:1rem;padding-top:1.5rem}
.scroll{max-height:none;overflow:visible}details:not([open]){display:none}
.banner,pre{border:1px solid var(--edge)}}
"""
_NUMERIC = "".join(f".n{i} td:nth-child({i + 1}),.n{i} th:nth-child({i + 1}){{text-align:right}}" for i in range(8))
PAGE = COLORS + _PAGE.replace("\n", "") + _NUMERIC + svg.CSS + svg.ROLE_CSS + icons.CSS
