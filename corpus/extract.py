"""A page's HTML in, its main text and title out: one paragraph a line, no menus, comments or notices.

Two extractors over one lexbor parse. `best` cuts the page into blocks and keeps those that a classifier learnt from
pages with known main text takes for it (`corpus.extract_blocks`); with `markdown`, headings, lists, tables and code
stay what they were. `fast` is resiliparse's main-content rules and a choice of lines of our own. On one busy machine
`best` took 6.5 ms a page in the mean (of 98 kB) and `fast` 3.6, of which the parse is 1.0; quiet, `fast` takes half.
A page that gives no text has a reason. Input is bounded before it is parsed, for the parser needs quadratic time on
deep nesting (10,000 levels: 2.2 s; 100,000 did not end within 20 s) and on attributes.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from corpus.blocks_model import Model
from corpus.extract_blocks import main_text, serialised
from corpus.extract_lines import DEFAULT, Line, keep, line_scores, parse_lines, units

Mode = Literal["fast", "best"]

# What a page may hold, so that none takes 5 s. The largest of 1,117 real pages has
# 2.9 MB and 9,257 tags.
MAX_CHARS = 4_000_000
MAX_TAGS = 100_000  # up to 40 µs each: unclosed <a><b><i> in turn, 150,000 took 5.8 s
MAX_DEPTH = 2_000
# The parser compares every attribute of a tag with every other: 20,000 take 0.8 s, 180,000 take minutes.
MAX_ATTRIBUTES = 20_000
LONG_TAG = 40_000  # characters; shorter tags hold too few attributes to matter
# Fewer tags than this cannot nest deep enough to cost a second, so ordinary pages skip the count.
TAGS_WORTH_COUNTING = 8_000
# Under this many Chinese characters the main-content rules have most likely lost the article.
THIN_TEXT = 50.0

_BLANK = re.compile(r"[\s\x00\ufeff]*")
# In main-content mode resiliparse drops every text node of one non-ASCII character, as if it were a bullet:
# `「<b>文件</b>」`, `<b>爱</b>`, `在<a>北京</a>`. With a word joiner behind it the node stays; the joiner goes again.
_LONE_CHARACTER = re.compile(r">\s*(?:[^\x00-\x7f]|&#?\w{1,10};)(?=\s*<)")
_JOINER = "\u2060"
# What MediaWiki puts behind each heading: [编辑]. Its link would make the heading look like a menu.
_EDIT_SECTION = re.compile(
    r'<span class="mw-editsection[^"]*"[^>]*>'
    r"(?:<span[^>]*>[^<]*</span>|<a [^>]*>(?:<span>[^<]*</span>|[^<])*</a>|[^<])*</span>"
)
_TAG_NAME = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]*)")
# Void elements, those that HTML closes by itself, and inline ones, whose depth costs nothing.
_VOID = "area base br col embed hr img input link meta param source track wbr"
_SELF_CLOSED = "p li dt dd td th tr thead tbody tfoot option optgroup rp rt colgroup head body html"
_INLINE = "a b i u s em strong small big font tt code nobr strike span script style"
_SHALLOW = frozenset(f"{_VOID} {_SELF_CLOSED} {_INLINE}".split())


@dataclass(frozen=True, slots=True)
class Extracted:
    """`reason` is set exactly when `text` is empty."""

    text: str
    title: str | None
    reason: str | None


class _LibraryError(Exception):
    """An extraction library failed on this page."""


def extract(html: str, mode: Mode = "best", markdown: bool = False, model: Model | None = None) -> Extracted:
    """The main text of a page. Raises nothing but MemoryError and its like: a library's error is a reason.

    `markdown` and `model` (other weights than the shipped ones) are for `best` alone.
    """
    if _BLANK.fullmatch(html):
        return Extracted("", None, "empty_page")
    tags = html.count("<")
    refusal = _refusal(html, tags)
    if refusal:
        return Extracted("", None, refusal)
    if "\x00" in html:
        html = html.replace("\x00", "")
    if "mw-editsection" in html:
        html = _EDIT_SECTION.sub("", html)
    if mode == "fast" and not html.isascii():
        html = _LONE_CHARACTER.sub(_pad, html)
    title: str | None = None
    try:
        tree = _parse(html)
        title = " ".join((tree.title or "").split()) or None
        text = _best(tree, title, markdown, model) if mode == "best" else _fast(tree, title, _lines(tree, True))
    except _LibraryError:
        return Extracted("", title, "extractor_error")
    return Extracted(text, title, None if text else "no_main_text")


def _pad(match: re.Match[str]) -> str:
    return match.group() + _JOINER


def _refusal(html: str, tags: int) -> str | None:
    """Why a page must not reach a parser, by checks that are linear in its length."""
    if len(html) > MAX_CHARS:
        return "too_large"
    if tags > TAGS_WORTH_COUNTING and nesting_depth(html) > MAX_DEPTH:
        return "too_deep"
    if tags > MAX_TAGS or _long_tag_words(html) > MAX_ATTRIBUTES:
        return "too_large"
    return None


@contextmanager
def _library() -> Iterator[None]:
    """Every exception of a library, and none of our own code, becomes one that `extract` can name.

    Three C libraries and no list of what they raise; running out of memory is the caller's to know.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise _LibraryError from error


def nesting_depth(html: str) -> int:
    """How deep block elements nest at most, from the tags alone.

    Counted per name, so that a closing tag without an opening one, which a parser ignores, hides nothing.
    """
    open_now: dict[str, int] = {}
    depth = deepest = 0
    for slash, name in _TAG_NAME.findall(html):
        name = name.lower()
        if name in _SHALLOW:
            continue
        count = open_now.get(name, 0)
        if not slash:
            open_now[name] = count + 1
            depth += 1
            deepest = max(deepest, depth)
        elif count:
            open_now[name] = count - 1
            depth -= 1
    return deepest


def _long_tag_words(html: str) -> int:
    """Words inside very long tags, an upper bound of their attributes unless a quoted `>` hides some."""
    # A tag of LONG_TAG characters covers one of these steps whole; no other page is cut up.
    step = LONG_TAG // 2
    if all(html.find(">", start, start + step) >= 0 for start in range(0, len(html) - step, step)):
        return 0
    tags = (piece[piece.rfind("<") + 1 :] for piece in html.split(">") if len(piece) >= LONG_TAG)
    return sum(len(tag.split()) for tag in tags)


def _parse(html: str) -> HTMLTree:
    with _library():
        try:
            return HTMLTree.parse(html)
        except UnicodeEncodeError:  # lone surrogates
            return HTMLTree.parse(html.encode("utf-8", "replace").decode("utf-8"))


def _lines(tree: HTMLTree, main_content: bool) -> list[Line]:
    with _library():
        reduced = extract_plain_text(
            tree,
            main_content=main_content,
            preserve_formatting="minimal_html",
            links=True,
            alt_texts=False,
            list_bullets=False,
            post_meta=False,
            comments=False,
        )
    return parse_lines(reduced.replace(_JOINER, ""))


def _fast(tree: HTMLTree, title: str | None, main: list[Line]) -> str:
    """The best run of the main content `main`, or of the whole page where that gives next to nothing."""
    kept = _chosen(main, title)
    if sum(map(units, kept)) < THIN_TEXT:
        kept = _chosen(_lines(tree, False), title)
    return "\n".join(kept)


def _chosen(lines: list[Line], title: str | None) -> list[str]:
    return keep(lines, line_scores(lines), title, DEFAULT.boilerplate)


def _best(tree: HTMLTree, title: str | None, markdown: bool, model: Model | None) -> str:
    with _library():
        source = serialised(tree)
    return main_text(source, title or "", markdown, model)


def warm_extractor() -> None:
    """Load the weights and all compiled code of `best`, before workers are forked: 0.5 s once, and not in each."""
    extract("<title>t</title><table><tr><td>a</td><td>b</td></tr></table><p>text, text.</p>")
