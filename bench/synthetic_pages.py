"""Pages made up from the texts of known ones: forums, questions with answers, documentation, stories in small parts.

In: for each fold the known pages, as their blocks' texts and labels. Out: HTML with a reference. Real labelled pages of
these kinds are few (11 forum pages), so the classifier meets their shapes here: many short posts under one look with
names, dates and buttons between them; answers of which each is main text; headings, tables, lists and code with a
table of contents beside. Names of classes are drawn from the words of the trade or from nothing at all. Texts come
from pages of the same fold, so that no text crosses a fold.
"""

import html
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_ZH = {
    "reply": ["回复", "引用", "举报", "只看该作者", "赞", "支持", "反对", "收藏", "分享", "编辑"],
    "meta": ["发表于 {d}", "{d}", "{d} 来自手机", "楼主 {d}", "#{n}楼 {d}", "{n} 天前", "编辑于 {d}"],
    "side": ["热门话题", "相关推荐", "最新帖子", "活跃用户", "友情链接"],
    "user": ["帖子 {n}", "积分 {n}", "注册时间 {d}", "等级 {n}", "新手上路"],
    "foot": ["版权所有 本站", "关于我们", "联系我们", "隐私政策", "返回顶部"],
}
_EN = {
    "reply": ["Reply", "Quote", "Report", "Like", "Share", "Permalink", "Edit", "Follow"],
    "meta": ["Posted {d}", "{d}", "{n} days ago", "#{n}", "answered {d}", "Joined: {d}"],
    "side": ["Related questions", "Hot topics", "Recent posts", "Members online", "See also"],
    "user": ["Posts: {n}", "Joined {d}", "Reputation: {n}", "Member", "Moderator"],
    "foot": ["Copyright", "About", "Contact", "Privacy policy", "Back to top"],
}
_NAMES = [
    "lina",
    "kuro",
    "阿明",
    "小王",
    "mkt88",
    "风之子",
    "sam_t",
    "云游",
    "qwert",
    "老李",
    "greta",
    "J.Doe",
    "北方",
    "tomcat",
    "蓝天",
    "ziggy",
]
_CODE = [
    "import os\nfor x in range(3):\n    print(x)",
    "make install",
    "$ git clone repo\n$ cd repo",
    "int main() {\n  return 0;\n}",
]


@dataclass(frozen=True, slots=True)
class Made:
    """One page."""

    id: str
    fold: int
    language: str
    title: str
    html: str
    reference: str


class Writer:
    """Draws the parts of one page."""

    def __init__(self, rng: np.random.Generator, texts: list[str], links: list[str], language: str) -> None:
        self.rng, self.texts, self.links = rng, texts, links
        self.words = _ZH if language == "zh" else _EN
        self.named = rng.random() < 0.7
        self.kept: list[str] = []

    def pick(self, options: list[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

    def name(self, names: str) -> str:
        """An attribute with one of the names, or one that says nothing."""
        if not self.named:
            return (
                f' class="{self.pick(list("abcdefgh"))}{int(self.rng.integers(9))}"' if self.rng.random() < 0.7 else ""
            )
        return f' class="{self.pick(names.split())}"'

    def fill(self, kind: str) -> str:
        number = int(self.rng.integers(1, 400))
        year, month, day, hour, minute = (
            int(self.rng.integers(*r)) for r in ((10, 25), (1, 13), (1, 29), (0, 24), (0, 60))
        )
        date = f"20{year}-{month}-{day} {hour}:{minute:02}"
        return self.pick(self.words[kind]).format(d=date, n=number)

    def text(self, most: int) -> str:
        """A piece of main text of at most so many characters, noted as such."""
        piece = self.pick(self.texts)
        start = 0
        if len(piece) > most:
            ends = [i + 1 for i, c in enumerate(piece[:most]) if c in "。！？.!?，,"]
            piece = piece[start : ends[-1] if ends else most]
        piece = piece.strip()
        self.kept.append(piece)
        return html.escape(piece)

    def kept_line(self, line: str) -> str:
        self.kept.append(line)
        return html.escape(line)

    def list_of_links(self, count: int, around: str = "ul") -> str:
        items = "".join(f'<li><a href="/x">{html.escape(self.pick(self.links))}</a></li>' for _ in range(count))
        return f"<{around}{self.name('nav menu list sidebar links')}>{items}</{around}>"

    def frame(self, title: str, body: str, main: str) -> str:
        side = f"<h3>{self.fill('side')}</h3>{self.list_of_links(int(self.rng.integers(3, 12)))}"
        side = f"<div{self.name('side sidebar right col')}>{side}</div>" if self.rng.random() < 0.7 else ""
        foot = " ".join(f'<a href="/f">{word}</a>' for word in self.words["foot"])
        body = f"<div{self.name(main)}>{body}</div>"
        parts = [side, body] if self.rng.random() < 0.3 else [body, side]
        return (
            f"<html><head><title>{html.escape(title)}</title></head><body><div{self.name('header top hd nav')}>"
            f"{self.list_of_links(int(self.rng.integers(4, 12)))}</div><div{self.name('wrap container page')}>"
            f"{''.join(parts)}</div><div{self.name('footer foot ft')}>{foot}</div></body></html>"
        )


def _buttons(w: Writer) -> str:
    count = int(w.rng.integers(1, 5))
    if w.rng.random() < 0.3:
        return "".join(f"<button>{w.fill('reply')}</button>" for _ in range(count))
    return " ".join(f'<a href="#">{w.fill("reply")}</a>' for _ in range(count))


def _user(w: Writer) -> str:
    facts = "".join(f"<p>{w.fill('user')}</p>" for _ in range(int(w.rng.integers(0, 3))))
    return f'<a href="/u">{w.pick(_NAMES)}</a>{facts}'


def forum(w: Writer, title: str) -> str:
    """Posts under one look, as tables or as boxes."""
    posts = []
    tabular = w.rng.random() < 0.35
    short = w.rng.random() < 0.5
    name = w.name("post postbody message content t_f reply floor comment")
    for number in range(int(w.rng.integers(4, 22))):
        size = int(w.rng.integers(6, 50)) if short and number else int(w.rng.integers(30, 500))
        words = w.text(size)
        if w.rng.random() < 0.2:
            words += f"<br><br>{w.text(100)}"
        meta, buttons = w.fill("meta"), _buttons(w)
        if tabular:
            posts.append(
                f"<table><tr><td{w.name('user author pls')}>{_user(w)}</td><td><div>{meta}</div>"
                f"<div{name}>{words}</div><div>{buttons}</div></td></tr></table>"
            )
        else:
            posts.append(
                f"<div{w.name('post item thread')}><div{w.name('user author avatar')}>{_user(w)}</div>"
                f"<span>{meta}</span><div{name}>{words}</div><div{w.name('tools actions meta')}>{buttons}</div></div>"
            )
    head = f"<h1>{w.kept_line(title)}</h1>"
    w.kept.insert(0, w.kept.pop())
    return w.frame(title, head + "".join(posts), "thread posts main content forum")


def answers(w: Writer, title: str) -> str:
    """A question and its answers, paragraphs in each."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    kept_title = w.kept
    kept_title.append(title)
    name = w.name("answer content richtext body text")
    for number in range(int(w.rng.integers(2, 8))):
        words = "".join(f"<p>{w.text(220)}</p>" for _ in range(int(w.rng.integers(1, 5))))
        if w.rng.random() < 0.25:
            words += f"<pre><code>{w.kept_line(w.pick(_CODE))}</code></pre>"
        notes = "".join(f"<li>{html.escape(w.pick(w.links))}</li>" for _ in range(int(w.rng.integers(0, 2))))
        parts.append(
            f"<div{w.name('answer question item')}><div>{number * 3} <span>{w.fill('meta')}</span> {_user(w)}</div>"
            f"<div{name}>{words}</div><div>{_buttons(w)}</div><ul>{notes}</ul></div>"
        )
    return w.frame(title, "".join(parts), "question qa main content")


def documentation(w: Writer, title: str) -> str:
    """Headings, paragraphs, lists, tables and code beside a table of contents."""
    parts = [f"<h1>{w.kept_line(title)}</h1>"]
    contents = []
    for _ in range(int(w.rng.integers(2, 8))):
        heading = w.pick(w.texts)[:20].strip() or "1"
        contents.append(f'<li><a href="#s">{html.escape(heading)}</a></li>')
        parts.append(f"<h2>{w.kept_line(heading)}</h2>")
        for _ in range(int(w.rng.integers(1, 5))):
            kind = w.rng.random()
            if kind < 0.45:
                parts.append(f"<p>{w.text(300)}</p>")
            elif kind < 0.6:
                items = "".join(f"<li>{w.text(40)}</li>" for _ in range(int(w.rng.integers(2, 7))))
                parts.append(f"<ul>{items}</ul>")
            elif kind < 0.75:
                parts.append(f"<div{w.name('highlight code source')}><pre>{w.kept_line(w.pick(_CODE))}</pre></div>")
            elif kind < 0.88:
                rows = "".join(
                    "<tr>" + "".join(f"<td>{w.text(14)}</td>" for _ in range(3)) + "</tr>"
                    for _ in range(int(w.rng.integers(2, 9)))
                )
                parts.append(f"<table>{rows}</table>")
            else:
                parts.append(f"<dl><dt>{w.text(12)}</dt><dd>{w.text(120)}</dd></dl>")
    toc = f"<div{w.name('toc sidebar nav menu')}><ul>{''.join(contents)}</ul></div>"
    around = "main" if w.rng.random() < 0.3 else "div"
    body = f"<{around}{w.name('document body content markdown doc')}>{''.join(parts)}</{around}>"
    return w.frame(title, (toc + body) if w.rng.random() < 0.7 else body, "wrap page docs")


def pieces(w: Writer, title: str) -> str:
    """A story whose sentences and short lines stand each in a box, as editors of today write them."""
    tag = w.pick(["p", "div", "span", "section"])
    parts = [f"<h1>{html.escape(title)}</h1><div>{w.fill('meta')}</div>"]
    for _ in range(int(w.rng.integers(4, 25))):
        words = w.text(int(w.rng.integers(8, 90)))
        parts.append(f"<{tag}>{words}</{tag}>" if tag != "span" else f"<div><span>{words}</span></div>")
        if w.rng.random() < 0.08:
            parts.append(f'<div{w.name("related ad more promo")}><a href="/r">{html.escape(w.pick(w.links))}</a></div>')
    teasers = "".join(
        f'<li><a href="/t">{html.escape(w.pick(w.links))}</a> {html.escape(w.pick(w.texts)[:120])}</li>'
        for _ in range(int(w.rng.integers(0, 8)))
    )
    kind = w.pick(["article", "div"])
    story = f"<{kind}{w.name('article content story body entry')}>{''.join(parts)}</{kind}>"
    return w.frame(title, story + f"<ul{w.name('related teaser list more')}>{teasers}</ul>", "main wrap")


KINDS: tuple[Callable[[Writer, str], str], ...] = (forum, forum, answers, documentation, pieces)


def make(rng: np.random.Generator, texts: list[str], links: list[str], fold: int, language: str, number: int) -> Made:
    """One page of the given fold and language."""
    writer = Writer(rng, texts, links, language)
    title = (writer.pick(texts)[: int(rng.integers(8, 40))]).strip() or "1"
    kind = KINDS[int(rng.integers(len(KINDS)))]
    page = kind(writer, title)
    return Made(f"made-{fold}-{number}", fold, language, title, page, "\n".join(writer.kept))
