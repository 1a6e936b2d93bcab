"""Cutting a page into blocks, what the classifier sees of them, and how kept blocks become lines or Markdown."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from corpus.blocks import Blocks, cut_blocks
from corpus.blocks_columns import AT, FEATURES
from corpus.blocks_context import CONTEXT
from corpus.blocks_model import (
    TOGETHER,
    Trees,
    base_features,
    judge,
    load_model,
    shipped_model,
    together,
    with_context,
)
from corpus.blocks_rows import table_rows
from corpus.blocks_tables import HINT, TAGS
from corpus.extract import extract
from corpus.extract_blocks import as_lines, as_markdown, main_text

SENTENCE = "市图书馆昨天宣布，从下个月起延长开放时间，方便上班的读者晚间借书。"


def cut(html: str, title: str = "", markdown: bool = False) -> Blocks:
    """As `extract` does it."""
    return cut_blocks(HTMLTree.parse(html).document.html.encode(), title, markdown)


def texts(blocks: Blocks) -> list[str]:
    return [blocks.text_of(index) for index in range(len(blocks))]


def test_blocks_end_at_block_elements_and_line_breaks() -> None:
    html = "<div>一<b>二</b>三<p>四 \n 五<br>六<br><br>七</p>八<hr>九<span> 十</span></div>"
    assert texts(cut(html)) == ["一二三", "四 五", "六", "七", "八", "九 十"]


def test_entities_and_spaces_are_decoded() -> None:
    assert texts(cut("<p>&nbsp; a &amp;lt; b&#160;&lt;c&gt; &quot;d&quot;　&#x3000;e  \t</p><p>&nbsp;</p>")) == [
        'a &lt; b <c> "d" e'
    ]


def test_scripts_styles_comments_and_controls_give_no_text() -> None:
    hidden = (
        "<script>if (a</p> < b) '<p>x</p>'</script><style>p{}</style><!-- <p>x</p> --><svg><text>x</text></svg>"
        "<select><option>x</select><textarea><p>x</textarea><template><p>x</p></template><iframe><p>x</iframe>"
    )
    assert texts(cut(f"<title>x</title><p>a</p>{hidden}<p>b</p>")) == ["a", "b"]


def test_code_keeps_its_lines() -> None:
    blocks = cut("<p>a\n  b</p><pre>for x in y:\n    print(x)  # &lt;\n</pre>")
    assert texts(blocks) == ["a b", "for x in y:\n    print(x)  # <"]


def test_links_bold_and_images_are_counted() -> None:
    blocks = cut("<p><a href=x>ab</a>c<b>de</b><img src=y>f</p><p>g<a href=x>h</a></p>")
    base = base_features(blocks)
    columns = [AT[name] for name in ("link_share", "links", "bold_share", "images", "link_first", "link_last")]
    assert base[0, columns].tolist() == pytest.approx([2 / 6, 1, 2 / 6, 1, 1, 0])
    assert base[1, columns].tolist() == pytest.approx([1 / 2, 1, 0, 0, 0, 1])


def test_hints_come_from_tags_roles_classes_and_styles() -> None:
    blocks = cut(
        '<div class="mainContent x-1"><p>a</p></div><div id="side_bar"><ul><li>b</li></ul></div>'
        '<div role="navigation">c</div><div itemprop="articleBody"><div>d</div></div><p style="display : none">e</p>'
    )
    near = {
        (text, name): int(base_features(blocks)[index, AT[f"near_{name}"]])
        for index, text in enumerate(texts(blocks))
        for name in HINT
    }
    assert near["a", "w_main"] == 1 and near["a", "paragraph"] == 0 and near["a", "w_side"] == 15
    assert near["b", "w_side"] == 2 and near["b", "list"] == 0
    assert near["c", "nav"] == 0
    assert near["d", "body_text"] == 1
    assert near["e", "hidden"] == 0


WORDS = st.sampled_from(["读者", "a &amp; b", " ", "\n", "&nbsp;", "x<y", "题", "&lt;", "é", "𠮷", "🙂"])
OPEN = st.sampled_from(
    [
        "<p>",
        "<div",
        "class='post",
        "x'>",
        "<b>",
        "<a",
        "href='/'>",
        "<li>",
        "<td>",
        "<tr>",
        "<table>",
        "<h2>",
        "<pre>",
        "<span>",
        "<br>",
    ]
)
CLOSE = st.sampled_from(
    ["</p>", "</div>", "</b>", "</a>", "</li>", "</td>", "</tr>", "</table>", "</h2>", "</pre>", "</span>", "<!--x-->"]
)
HTML = st.lists(WORDS | OPEN | CLOSE, max_size=40).map("".join)


@settings(max_examples=200, deadline=None)
@given(HTML)
def test_blocks_hold_all_text_of_the_document_once(html: str) -> None:
    tree = HTMLTree.parse(html)
    found = "".join("".join(texts(cut(html))).split())
    assert found == "".join((tree.body.text if tree.body else "").split())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | HTML.map(str.encode), st.booleans())
def test_any_bytes_are_cut_within_their_bounds(source: bytes, markdown: bool) -> None:
    """The kernels check no bounds, so the sizes they are given must do for whatever comes."""
    blocks = cut_blocks(source, source.decode("utf-8", "replace"), markdown)
    room = source.count(b"<") + 2
    assert len(blocks.elements) <= room and len(blocks) <= room and len(blocks.text) <= len(source) + 2 * room
    if len(blocks):
        assert (blocks.rows[:, 1] < blocks.rows[:, 2]).all()
        assert (blocks.rows[1:, 1] >= blocks.rows[:-1, 2]).all()
        base = base_features(blocks)
        context = with_context(blocks, base, np.linspace(-3.0, 3.0, len(blocks)))
        assert context.shape == (len(blocks), len(FEATURES) + len(CONTEXT))
        assert np.isfinite(context).all()


def test_blocks_of_one_kind_know_of_each_other() -> None:
    items = "".join(f'<li class="post-{n}"><span>条目{n}</span></li>' for n in range(6))
    base = base_features(cut(f"<ul>{items}</ul><p>{SENTENCE}</p>"))
    assert base[:6, AT["look_count"]].tolist() == [6.0] * 6  # numbers in a class make no difference
    assert base[6, AT["look_count"]] == 1.0
    assert base[0, AT["box0_blocks"]] == 6.0


def test_headline_is_the_block_that_repeats_the_title() -> None:
    html = f"<div><a href=x>图书馆延长开放</a></div><h1>图书馆延长开放时间</h1><p>{SENTENCE}</p>"
    base = base_features(cut(html, "图书馆延长开放时间_某某网"))
    assert base[:, AT["head_after"]].tolist() == [0.0, 0.0, 1.0]
    assert base[:, AT["head_before"]].tolist() == [1.0, 0.0, 0.0]


def test_rows_of_data_are_told_from_layout() -> None:
    blocks = cut(
        "<table><tr><td>甲</td><td>1</td></tr><tr><td>乙</td><td>2</td></tr></table>"
        "<table><tr><td>菜单<br>更多</td><td>正文</td></tr></table>"
    )
    rows = table_rows(blocks.elements, blocks.rows).tolist()
    assert rows[0] == rows[1] != rows[2] == rows[3]
    assert rows[4:] == [-1, -1, -1]
    every = list(range(len(blocks)))
    assert as_lines(blocks, every, np.array(rows)).split("\n") == ["甲\t1", "乙\t2", "菜单", "更多", "正文"]


def markdown(html: str) -> str:
    blocks = cut(html, markdown=True)
    return as_markdown(blocks, list(range(len(blocks))), table_rows(blocks.elements, blocks.rows))


def test_markdown_of_headings_paragraphs_and_quotations() -> None:
    html = "<h1>一</h1><p>二<b>三</b></p><h3><span>四</span></h3><blockquote><p>五</p><p>六</p></blockquote>"
    assert markdown(html) == "# 一\n\n二三\n\n### 四\n\n> 五\n\n> 六"


def test_markdown_of_lists() -> None:
    html = "<ul><li>一<ul><li>二</li></ul></li><li><p>三</p><p>四</p></li></ul><ol><li>五</li><li>六</li></ol>"
    assert markdown(html) == "- 一\n\n  - 二\n\n- 三\n\n  四\n\n1. 五\n2. 六"


def test_markdown_of_tables() -> None:
    html = "<table><tr><th>年</th><th>a|b</th></tr><tr><td>2015</td><td>1</td></tr></table><p>完</p>"
    assert markdown(html) == "| 年 | a\\|b |\n| --- | --- |\n| 2015 | 1 |\n\n完"


def test_markdown_of_tables_with_empty_cells() -> None:
    """Every cell stays in its column; a row with one text is a row, and a page laid out by a table is none."""
    html = (
        "<table><tr><th></th><th>春</th><th>秋</th></tr><tr><td>甲</td><td></td><td>1</td></tr>"
        "<tr><td>乙</td><td>2</td></tr><tr><td></td><td></td><td>3</td></tr></table>"
    )
    assert markdown(html) == "|  | 春 | 秋 |\n| --- | --- | --- |\n| 甲 |  | 1 |\n| 乙 | 2 |  |\n|  |  | 3 |"
    assert markdown("<table><tr><td></td><td>正文</td></tr></table>") == "正文"
    assert markdown("<table><tr><td>正</td><td>文</td></tr></table>") == "| 正 | 文 |\n| --- | --- |"


def test_markdown_of_tables_with_cells_that_span() -> None:
    """Columns, rows and both; a row that is one cell stays in the table."""
    html = (
        '<table><tr><th rowspan="2">省</th><th colspan="2">产量</th><th>注</th></tr>'
        "<tr><td>春</td><td>秋</td><td>a</td></tr>"
        '<tr><td colspan="4">一、平原</td></tr>'
        '<tr><td rowspan="3">甲</td><td>1</td><td>2</td><td rowspan="2">b</td></tr><tr><td>3</td><td>4</td></tr>'
        '<tr><td></td><td colspan="0">5</td><td colspan="99999999999">6</td></tr></table>'
    )
    lines = markdown(html).split("\n")
    assert [[cell.strip() for cell in line.strip("|").split("|")][:4] for line in lines] == [
        ["省", "产量", "", "注"],
        ["---", "---", "---", "---"],
        ["", "春", "秋", "a"],
        ["一、平原", "", "", ""],
        ["甲", "1", "2", "b"],
        ["", "3", "4", ""],
        ["", "", "5", "6"],
    ]
    assert {line.count("|") for line in lines} == {5}
    assert markdown(
        '<table><tr><td>名</td><td>值</td></tr><tr><td rowspan="2">甲</td><td>1</td></tr><tr><td>2</td></tr></table>'
    ).endswith("|  | 2 |")


def test_markdown_of_code_without_blank_lines_before_it() -> None:
    assert markdown("<pre><code>\n  \n    x = 1\n\n    y</code></pre>") == "```\n    x = 1\n\n    y\n```"


def test_markdown_of_code() -> None:
    html = "<p>用 <code>ls -l</code> 看</p><pre><code>def f():\n    return '```'\n</code></pre>"
    assert markdown(html) == "用 `ls -l` 看\n\n````\ndef f():\n    return '```'\n````"


def test_extract_gives_markdown_on_request() -> None:
    body = f"<h2>安装</h2><p>{SENTENCE}</p><pre>pip install x\n  y</pre><p>{SENTENCE[::-1]}</p>" * 3
    page = f"<title>安装</title><body><ul><li><a href=x>首页</a></ul><article><h1>安装</h1>{body}</article>"
    text = extract(page, "best", markdown=True).text
    assert "```\npip install x\n  y\n```" in text
    assert f"\n\n{SENTENCE}\n\n" in text
    assert "首页" not in text


def test_trees_go_left_at_the_threshold() -> None:
    trees = Trees(
        np.array([0, 3], np.int32),
        np.array([1, -1, -1, -1], np.int16),
        np.array([0.5, 10.0, 20.0, 1.0], np.float32),
        np.array([1, 0, 0, 0], np.int32),
        np.array([2, 0, 0, 0], np.int32),
        0.25,
    )
    features = np.array([[0.0, 0.5], [0.0, np.nextafter(np.float32(0.5), np.float32(1))]], np.float32)
    assert trees.score(features).tolist() == [11.25, 21.25]


def test_blocks_of_one_look_are_judged_together() -> None:
    """Three of a kind draw the fourth along, the score of each counting for two at most; a pair and a single do not."""
    looks = np.array([5, 5, 5, 5, 7, 7, 9], np.uint64)
    scores = np.array([9.0, 2.0, 2.0, -0.4, 3.0, -0.1, -0.2])
    mean = (2.0 + 2.0 + 2.0 - 0.4) / 4
    out = together(scores, looks, np.full(7, 50.0, np.float32))
    assert out.tolist() == pytest.approx([*(scores[:4] + TOGETHER * mean), *scores[4:]])
    assert out[3] > 0.0 > out[5]


def test_a_model_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    model = shipped_model()
    model.save(tmp_path / "m.npz")
    blocks = cut(f"<h1>题</h1><p>{SENTENCE}</p><ul><li><a href=x>首页</a></li></ul>")
    assert judge(blocks, load_model(tmp_path / "m.npz")).tolist() == judge(blocks, model).tolist()


def test_shipped_trees_fit_the_features() -> None:
    model = shipped_model()
    assert model.rounds
    for first, second in model.rounds:
        assert first.feature.max() < len(FEATURES)
        assert second.feature.max() < len(FEATURES) + len(CONTEXT)
    assert json.dumps(model.words.scale)  # a plain number


def test_an_empty_document_has_no_blocks() -> None:
    assert len(cut("")) == 0
    assert main_text("", "") == ""
    assert TAGS[0] == ""
