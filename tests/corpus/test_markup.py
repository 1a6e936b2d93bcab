"""Markdown without its marks reads as the same page read as plain text, so that rules mean the same in both."""

import pytest

from corpus.config import load
from corpus.extract import extract
from corpus.markup import unmarked
from corpus.normalize import normalize
from corpus.page import Page
from corpus.steps import ApplyRules, DetectLanguage, ExtractText, Measure, Normalize

PARAGRAPH = "下面的程序先读入一个文件，再按行数出每个词出现的次数，最后把结果写进一张表里。"
CODE = "\n".join(f"<p>{PARAGRAPH}第{n}步。</p><pre>n = {n}\nprint(n)</pre>" for n in "一二三四五六七八九")
TABLE = "".join(f"<tr><td>{n}</td><td></td><td>{n * 7 % 5} 次</td></tr>" for n in range(1, 9))
PAGE = (
    f"<title>词频</title><body><main><h1>词频</h1>{CODE}<h2>结果</h2><p>{PARAGRAPH}</p>"
    f"<table><tr><th>词</th><th>a|b</th><th>次数</th></tr>{TABLE}</table><blockquote><p>{PARAGRAPH}</p></blockquote></main>"
)


def test_without_its_marks_it_is_the_plain_text() -> None:
    marked, plain = (normalize(extract(PAGE, "best", markdown=markdown).text) for markdown in (True, False))
    assert "```" in marked and "| --- |" in marked and "> " in marked and marked.startswith("# ")
    assert unmarked(marked) == plain


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("", ""),
        ("# 一\n\n二 | 三\n\n- 四\n- 五", "一\n二 | 三\n四\n五"),
        ("| a | b\\|c |\n| --- | :---: |\n|  | d |", "a b|c\nd"),
        ("```\n# 注释\n| x |\n```\n\n~~~ 没有结束", "# 注释\n| x |\n~~~ 没有结束"),
        ("> > 引文\n\n#没有空格", "引文\n#没有空格"),
    ],
)
def test_marks_go_and_code_stays(marked: str, plain: str) -> None:
    assert unmarked(marked) == plain


def test_rules_decide_alike_with_markdown_and_without() -> None:
    judged = []
    for markdown in (False, True):
        page = Page(origin="page.html#0", source="page", kind="html", html=PAGE)
        config = load(None, [f"extract.markdown={str(markdown).lower()}"])
        ExtractText(config.extract).apply(page)
        Normalize(config.normalize).apply(page)
        DetectLanguage(config.languages).apply(page)
        Measure().apply([page])
        ApplyRules(config.rules).apply(page)
        page.signals.pop("s_language_score")  # of the text as it stands
        judged.append((page.signals, page.reasons))
    assert judged[0] == judged[1]
