"""The report and the dataset card: figures that agree with the run, crawled text that stays text."""

import ast
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from lxml import html as parser

from corpus import samples
from corpus.config import load
from corpus.page import Page
from corpus.report import write_report
from corpus.report_text import LABELS, REASONS, SIGNALS_ZH, reason_text, signal_text
from corpus.signals import ALL_SIGNALS
from runkit.report import visible
from tests.corpus.run_maker import Made, make, page

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
CHROMIUM_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--no-proxy-server"),
    *("--virtual-time-budget=1000", "--dump-dom"),
)

RUN = "document.documentElement.setAttribute('data-run','1');fetch('http://127.0.0.1:PORT/f')"
GET = "http://127.0.0.1:PORT/"
# Elements, handlers, addresses, style, our own tags closed, other grammars, characters.
HOSTILE = [
    f"<script>{RUN}</script>", f"<SCRIPT SRC={GET}a.js></SCRIPT>", f"</script><script>{RUN}</script>",
    f"<scr<script>ipt>{RUN}</scr</script>ipt>", f'<img src=x onerror="{RUN}">', f"<img src={GET}a.png>",
    f'<svg onload="{RUN}">', f"<svg><script>{RUN}</script></svg>", f"<svg><image href={GET}b.png /></svg>",
    f"<svg><use href={GET}c.svg#x /></svg>", f'<body onload="{RUN}">', f"<iframe src={GET}d></iframe>",
    f'<iframe srcdoc="<script>{RUN}</script>"></iframe>', f"<object data={GET}e></object>",
    f"<embed src={GET}f>", f"<link rel=stylesheet href={GET}g.css>", f"<link rel=prefetch href={GET}h>",
    f"<base href={GET}>", f'<meta http-equiv=refresh content="0;url={GET}i">', f"<audio src={GET}j autoplay>",
    f'<video><source onerror="{RUN}"></video>', f'<input autofocus onfocus="{RUN}">',
    f'<details open ontoggle="{RUN}">', f"<form action={GET}k><button autofocus>",
    f'<marquee onstart="{RUN}">', f"<math><mtext><script>{RUN}</script>",
    f"<template><script>{RUN}</script></template>", f'<noscript><p title="</noscript><img onerror={RUN}>">',
    f"<xmp><script>{RUN}</script></xmp>", f"<textarea><script>{RUN}</script></textarea>",
    f"<a href=javascript:{RUN}>x</a>", f"javascript:{RUN}", f"JaVaScRiPt:{RUN}", f"java\tscript:{RUN}",
    f"data:text/html,<script>{RUN}</script>", f"vbscript:{RUN}", "//127.0.0.1:PORT/l",
    f'" onmouseover="{RUN}" x="', f"' onfocus='{RUN}' autofocus='", f'"><script>{RUN}</script>',
    f"'><script>{RUN}</script>", f"` onerror=`{RUN}`", f"&lt;script&gt;{RUN}&lt;/script&gt;",
    f"&#60;script&#62;{RUN}", f"&quot; onload=&quot;{RUN}", f"<style>@import '{GET}m.css'</style>",
    f"<style>body{{background:url({GET}n)}}</style>", f"}}</style><script>{RUN}</script>",
    f"x;background:url({GET}o)", f"expression({RUN})", f"</title><script>{RUN}</script>",
    f"</details></section></main><script>{RUN}</script>", f"</span></summary></details><img src={GET}p>",
    f"</td></tr></table><script>{RUN}</script>", f"</pre></code><script>{RUN}</script>",
    f"--><script>{RUN}</script><!--", f"]]><script>{RUN}</script>", f"<![CDATA[<script>{RUN}</script>]]>",
    f"<?xml-stylesheet href='{GET}q'?>", "{{constructor.constructor('1')()}}",
    "${7*7} #{7*7} <%= 7*7 %> {% x %}", f"[link](javascript:alert(1)) ![i]({GET}r)", "| a | b |\n|---|---|",
    "```\n</details>", "safe\u202egnp.exe\u2066\u2069", "\x1b]8;;http://127.0.0.1/s\x07x\x1b[31m",
    "\x00<\x00script>", "\u2028<script>\u2029", "\ufeff<script\u00a0src=x>", "＜script＞",
    "\U000e003cscript\U000e003e", "[red]bold[/red]",
]  # fmt: skip
SURROGATES = ["\ud83dhalf<script>", 'x\udfff"onload="']


class Listener:
    """A loopback server that notes what is asked of it."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = str(self.server.server_port)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.server.shutdown()
    listener.server.server_close()


def opened(file: Path, tmp_path: Path) -> parser.HtmlElement:
    """The document as Chromium has it once it has come to rest."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    command = [CHROMIUM, *CHROMIUM_FLAGS, f"--user-data-dir={tmp_path / 'profile'}", file.as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=50, check=False)
    if not done.stdout:
        pytest.skip(f"chromium does not start here: {done.stderr.decode(errors='replace')[-300:]}")
    return parser.document_fromstring(done.stdout, parser=parser.HTMLParser(encoding="utf-8"))


def hostile_run(path: Path, port: str) -> tuple[Made, list[str]]:
    """Every payload as text, title, URL, source, language, reason, date and origin, rejected and kept."""
    payloads = [payload.replace("PORT", port) for payload in HOSTILE]
    pages = []
    for number, payload in enumerate(payloads):
        fields: dict[str, Any] = dict.fromkeys(("text", "url", "source", "language", "date"), payload)
        fields["origin"] = f"{payload}#{number}"
        fields["meta"] = {"title": payload, "encoding": payload, "flags": [payload]}
        pages += [page(number, "rules.chars", payload, **fields), page(number, **fields)]
    made = make(path, [pages], faults=dict.fromkeys(payloads, 1))
    for payload in [*SURROGATES, *payloads]:  # what parquet cannot hold, and what a URL's host never is
        for state in ("kept", "rejected"):
            made.total["domains"][state][payload] = made.summary["domains"][state][payload] = 10**6
            made.summary["sources"][state][payload] = made.summary["languages"][state][payload] = 10**6
        made.summary["inputs"]["not_read"].append({"path": payload, "reason": payload})
    write_report(made.run, made.summary, made.total, made.config, "en")
    return made, payloads


def test_hostile_text_stays_text(tmp_path: Path, listener: Listener) -> None:
    assert len(set(HOSTILE)) >= 60
    made, payloads = hostile_run(tmp_path / "run", listener.port)
    tree = opened(made.run.file("report.html"), tmp_path)
    assert listener.requests == []
    assert "data-run" not in tree.attrib and tree.findtext(".//title") == "Cleaning report"
    check_inert(tree)
    shown = {element.text_content() for element in tree.iter("span", "b", "td", "code", "dd")}
    for payload in payloads:
        assert visible(payload) in shown, payload
    texts = {element.text_content() for element in tree.xpath("//span[@class='raw text']")}
    assert {visible(payload) for payload in payloads} <= texts


def test_the_browser_would_have_told(tmp_path: Path, listener: Listener) -> None:
    """The same payloads unescaped, to show that the test above can fail."""
    file = tmp_path / "raw.html"
    file.write_text("<!doctype html>" + "".join(HOSTILE[:12]).replace("PORT", listener.port), "utf-8")
    tree = opened(file, tmp_path)
    assert tree.get("data-run") == "1" and listener.requests


def check_inert(tree: parser.HtmlElement) -> None:
    """No element that runs or loads, no handler, no address but anchors on the page."""
    assert not tree.xpath(
        "//script | //link | //img | //iframe | //object | //embed | //form | //input | //base | //image"
        " | //use | //math | //video | //audio | //template | //noscript | //marquee | //textarea"
    )
    assert len(tree.xpath("//style")) == 1
    for element in tree.iter():
        for name, value in element.attrib.items():
            assert not name.startswith("on") and name not in {"src", "style", "action", "srcdoc"}, (
                name,
                value,
            )
            assert name != "href" or re.fullmatch(r"#[A-Za-z0-9._-]+", value), value


def test_hostile_text_stays_text_for_any_parser(tmp_path: Path) -> None:
    """The proof that needs no browser; lone surrogates and all."""
    made, payloads = hostile_run(tmp_path / "run", "9")
    tree = parser.document_fromstring(made.html.encode())
    check_inert(tree)
    shown = {element.text_content() for element in tree.iter("span", "b", "td", "code", "dd")}
    assert {visible(payload) for payload in [*payloads[:20], *SURROGATES]} <= shown
    card = made.run.file("README.md").read_text("utf-8")
    outside = re.sub(r"(?ms)^(`{3,}).*?^\1$", "", card.split("---\n", 2)[2])
    assert not re.search(r"<(?!/?details>|/?summary>|PHONE>)", outside)
    assert not re.search(r"(?<!\\)\]\(", outside), "a link"
    tables = [line for line in outside.split("\n") if line.startswith("|")]
    assert tables and {len(re.findall(r"(?<!\\)\|", line)) - 1 for line in tables} <= {2, 3, 4}


def rows(tree: parser.HtmlElement, section: str) -> list[list[str]]:
    cells = tree.xpath(f"//section[@id='{section}']//tbody/tr")
    return [[cell.text_content() for cell in row.findall("td")] for row in cells]


def small(path: Path, **options: str) -> Made:
    """12 pages: 6 kept, 6 rejected by hand-counted reasons."""
    kept = [page(number, text="一二三四五") for number in range(6)]
    rejected = [
        page(10, "rules.chars", s_chars=80, text="短文"),
        page(11, "rules.chars", "rules.top_2gram", s_chars=90, s_top_2gram=0.25, text="短文"),
        page(12, "language.not_kept", language="ja", s_language_score=0.93, text="日本語"),
        page(13, "dedup.near", meta={"title": "副本", "duplicate_of": "abc123", "similarity": 0.812}),
        page(14, "extract.no_main_text", text=""),
        page(15, "rules.chars", s_chars=100, text="13812345678 短文", meta={"title": "电话 13812345678"}),
    ]
    faults = {"skip.mime": 7, "warc.cut": 1}
    return make(path, [kept + rejected[:3], rejected[3:]], faults=faults, lang=options.get("lang", "en"))


def test_the_figures_are_those_of_the_run(tmp_path: Path) -> None:
    tree = parser.document_fromstring(small(tmp_path / "run").html.encode())
    figures = [element.text_content() for element in tree.xpath("//dl[@class='figures']//b")]
    # characters kept: 6 × 5; copies: 1; records that could not be read: 1
    assert [figures[0], figures[1], figures[2], figures[4], figures[5]] == ["12", "6", "30", "1", "1"]
    funnel = {row[0]: row[2:4] for row in rows(tree, "funnel")}
    assert funnel == {
        "read": ["12", ""], "main text": ["11", "−1"], "language": ["10", "−1"], "rules": ["7", "−3"],
        "deduplication": ["6", "−1"],
    }  # fmt: skip
    reasons = {row[0].split(maxsplit=1)[0]: row[1:4] for row in rows(tree, "reasons")}
    assert {name[:11]: cells for name, cells in reasons.items()}["rules.chars"] == ["3", "25.0%", "2"]
    assert len(reasons) == 5
    not_read = {re.match(r"[a-z.]+(?=[A-Z])", row[0])[0]: row[1] for row in rows(tree, "not-read")}
    assert not_read == {"warc.cut": "1", "skip.mime": "7"}
    languages = [row for row in rows(tree, "origins") if row[0] in {"zh", "ja"}]
    assert languages == [["zh", "6", "5", "54.5%"], ["ja", "0", "1", "0.0%"]]


def test_samples_show_the_value_beside_its_bound(tmp_path: Path) -> None:
    made = small(tmp_path / "run")
    tree = parser.document_fromstring(made.html.encode())
    chips = [element.text_content() for element in tree.xpath("//section[@id='rejected']//span[@class='chip']")]
    assert {"80 < 120", "90 < 120", "0.25 > 0.2", "ja 0.93", "copy of abc123, 81% alike"} <= set(chips)
    for reason in made.summary["reasons"]:
        assert tree.xpath(f"//section[@id='reasons']//a[@href='#reason-{reason.replace('_', '_5f_')}']"), reason
        assert tree.xpath(f"//h3[@id='reason-{reason.replace('_', '_5f_')}']"), reason
    assert "13812345678" not in made.html and "&lt;PHONE&gt;" in made.html
    assert len(tree.xpath("//section[@id='kept']/details")) == 6


def test_every_signal_is_drawn_with_its_thresholds(tmp_path: Path) -> None:
    tree = parser.document_fromstring(small(tmp_path / "run").html.encode())
    figures = {figure.findtext(".//code"): figure for figure in tree.xpath("//figure")}
    assert set(figures) == {name.removeprefix("s_") for name in ALL_SIGNALS}
    for rule in load(None, []).rules:
        text = figures[rule.signal].text_content()
        for bound in filter(None, (rule.min, rule.max)):
            assert re.search(rf"{rule.language}\b[^0-9]*[≥≤]\s{bound:,.6g}", text), (rule, text)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_same_run_same_bytes(tmp_path: Path, lang: str) -> None:
    one, other = (small(tmp_path / name, lang=lang) for name in ("one", "other"))
    for name in ("report.html", "README.md"):
        assert one.run.file(name).read_bytes() == other.run.file(name).read_bytes()
        assert str(tmp_path) not in one.run.file(name).read_text("utf-8")


def test_an_empty_run_has_a_report(tmp_path: Path) -> None:
    for lang in ("en", "zh"):
        made = make(tmp_path / lang, [], lang=lang)
        assert LABELS[lang]["look_nothing"] in made.html and LABELS[lang]["nothing_rejected"] in made.html


FAMILIES = (
    *("url", "decode", "extract", "normalize", "language", "rules", "personal", "dedup", "worker", "record"),
    *("cut", "decontaminate"),
    *("line", "field", "json", "http", "warc", "mediawiki", "parquet", "skip", "gz", "bz2", "zst", "charset"),
)
REASON = re.compile(rf"({'|'.join(FAMILIES)})\.(?!(?:gz|bz2|zst|py|txt|jsonl?|html?|parquet|xml)$)[a-z0-9_]+")


def reasons_in_the_sources() -> set[str]:
    """Every reason that the program can give, as written or as put together from two parts."""
    found = {f"{name}.{what}" for name in ("gz", "bz2", "zst") for what in ("damaged", "cut", "garbage")}
    for file in [*(ROOT / "corpus").glob("*.py"), *(ROOT / "runkit").glob("*.py")]:
        if file.name == "report_text.py" or file.name.startswith("page"):  # a server's events are no reasons
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            value = node.value if isinstance(node, ast.Constant) else None
            if isinstance(value, str) and REASON.fullmatch(value):
                found.add(value)
            # steps.py: `key` of a step, for its `.error`; extract.py: what follows `extract.`.
            if file.name == "steps.py" and isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "key":
                found.add(f"{ast.literal_eval(node.value)}.error")
            if file.name == "extract.py" and isinstance(node, ast.Return):
                words = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)]
                found |= {f"extract.{word}" for word in words if re.fullmatch("[a-z]+_[a-z_]+", str(word))}
    return found


def test_every_reason_is_explained() -> None:
    found = {
        reason
        for reason in reasons_in_the_sources()
        if not reason.startswith("charset.") and not reason.endswith(".npz")
    }
    assert len(found) > 60
    assert {"extract.no_main_text", "language.not_kept", "dedup.near", "worker.timeout", "skip.mime"} <= found
    missing = {reason for reason in found if reason_text(reason, "en") == REASONS["en"]["*"]}
    assert not missing, f"corpus/report_text.py does not explain {sorted(missing)}"
    listed = {reason for reason in REASONS["en"] if "*" not in reason}
    assert listed <= found, f"no longer given: {sorted(listed - found)}"
    flags = {flag for flag in reasons_in_the_sources() if flag.startswith("charset.")}
    assert flags and all(f"flag.{flag}" in LABELS["en"] for flag in flags)


def test_both_languages_say_everything() -> None:
    for tables in (LABELS, REASONS):
        assert list(tables["en"]) == list(tables["zh"])
        for key, text in tables["en"].items():
            other = tables["zh"][key]
            assert sorted(re.findall(r"{\w+", text)) == sorted(re.findall(r"{\w+", other)), key
            assert not re.search(r"[\u3400-\u9fff]", text), key
            assert re.search(r"[\u3400-\u9fff]", other), key
    assert list(SIGNALS_ZH) == list(ALL_SIGNALS)
    assert signal_text("s_han_share", "en") == "share of Han characters"
    source = (ROOT / "corpus" / "report.py").read_text("utf-8")
    unused = {key for key in LABELS["en"] if "." not in key and f'"{key}"' not in source}
    assert unused <= {"key_kept", "key_rejected"}, unused  # their names are put together


def test_the_card_can_be_loaded_and_run_again(tmp_path: Path) -> None:
    for lang in ("en", "zh"):
        made = make(tmp_path / lang, [[page(1), page(2, "rules.chars")]], lang=lang, settings=["extract.mode=fast"])
        card = made.run.file("README.md").read_text("utf-8")
        head = yaml.safe_load(card.split("---\n")[1])
        assert head["language"] == ["zh"] and head["size_categories"] == ["n<1K"]
        assert head["configs"][0]["data_files"] == [{"split": "train", "path": "documents/*.parquet"}]
        clean = tmp_path / f"{lang}.yaml"
        clean.write_text(re.search(r"```yaml\n(.*?)```", card, re.DOTALL)[1], "utf-8")
        assert load(clean, []) == made.config
        assert "--config clean.yaml --sample 0.5 --out RUN" in card
        assert all(f"`{name}`" in card for name in ("text", "meta", *ALL_SIGNALS))


def test_a_draw_reads_little_and_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 parts of 30: common reasons are met in the first parts, a rare one is looked for further."""
    parts: list[list[Page]] = []
    for number in range(40):
        reasons = [("rules.chars", "dedup.exact")[row % 3 == 0] for row in range(30)]
        parts.append([page(1000 * number + row, reason) for row, reason in enumerate(reasons)])
    parts[31].append(page(99_999, "url.word"))
    made = make(tmp_path / "run", parts)
    read: list[str] = []
    original = samples.read_rows
    monkeypatch.setattr(samples, "read_rows", lambda file, *rest: read.append(file.name) or original(file, *rest))
    rules = made.run.manifest["config"]["rules"]
    common = {"rules.chars": 800, "dedup.exact": 400}
    drawn = samples.draw(made.run.path, rules, "rejected", common)
    assert {reason: len(found) for reason, found in drawn.items()} == {"rules.chars": 10, "dedup.exact": 10}
    assert len(read) <= samples.FEWEST_PARTS
    assert drawn == samples.draw(made.run.path, rules, "rejected", common)
    rare = samples.draw(made.run.path, rules, "rejected", {**common, "url.word": 1})
    assert [sample.origin for sample in rare["url.word"]] == ["dump.warc.gz#99999"]
    monkeypatch.setattr(samples, "MOST_PARTS", 9)
    assert samples.draw(made.run.path, rules, "rejected", {"url.url": 5}) == {"url.url": []}


def test_documents_with_one_reason_come_first(tmp_path: Path) -> None:
    pages = [page(row, "rules.chars", *(["rules.entropy"] if row % 5 else [])) for row in range(60)]
    made = make(tmp_path / "run", [pages])
    drawn = samples.draw(made.run.path, [], "rejected", made.summary["reasons"])
    assert {len(sample.broken) for sample in drawn["rules.chars"]} == {1}
    assert [sample.id for sample in drawn["rules.chars"]] == sorted(sample.id for sample in drawn["rules.chars"])
