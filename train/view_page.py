"""The tokenizer viewer as one HTML page, and the table of figures that the terminal shows too.

In: what each tokenizer makes of a text, and what its vocabulary holds. Out: a page in English or Chinese that runs and
loads nothing, with a box for each token and its id below. Price: 0.3 kB a box, so of a long text the first 20,000 boxes
are drawn; a page of more than 6 MB makes browsers slow.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from runkit import report
from runkit.report import Column, Html, element, number, percent
from train.view_text import EMBEDDING_WIDTH, Box, Figures, Found, Seen, Token, hexadecimal, signs

MOST_BOXES: Final = 20_000
_EN: Final = {
    "title": "Tokenizer view",
    "contents": "Contents",
    "subtitle": "{characters} characters, {bytes} bytes",
    "only_search": "What the vocabulary holds",
    "cut": "Of a longer text, the beginning.",
    "figures": "Figures",
    "figures_note": "A word is one Han character or one run of other letters and digits. Byte tokens stand for "
    "single bytes or for parts of characters. Whole Han: Han characters that are one token or part of a longer one. "
    "Embedding: parameters of a matrix {width} wide.",
    "tokenizer": "tokenizer",
    "kind": "kind",
    "size": "vocabulary",
    "tokens": "tokens",
    "characters": "characters",
    "per_token": "characters per token",
    "bytes_per_token": "bytes per token",
    "fertility": "tokens per word",
    "unknown_share": "unknown",
    "byte_share": "byte tokens",
    "whole": "whole Han",
    "back": "text comes back",
    "embedding": "embedding at d={width}",
    "yes": "yes",
    "no": "no",
    "difference": "{label}: the text does not come back: from character {place} on, “{original}” becomes “{decoded}”.",
    "legend": "Legend",
    "even": "token",
    "bytes": "character made of bytes, or bytes without a character in ⟨ ⟩",
    "unknown": "unknown token, with the text that was lost",
    "added": "token added by hand, or special token",
    "dropped": "text that no token holds",
    "boxes": "The small number is the id. {signs}",
    "signs": "␣ is a space, ⏎ a line end, ⇥ a tab.",
    "more_boxes": "The first {shown} of {total} boxes are drawn.",
    "search": "Search: {wanted}",
    "is_piece": "“{wanted}” is one piece: {ids}.",
    "no_piece": "“{wanted}” is no piece of its own.",
    "cut_into": "Encoded, it is {boxes} (tokens: {count}).",
    "hits": "Pieces with it: {total}; shown: {shown}.",
    "no_id": "There is no piece {wanted}.",
    "id": "id",
    "piece": "piece",
    "text": "text",
    "data": "bytes",
}
_ZH: Final = {
    "title": "分词器查看",
    "contents": "目录",
    "subtitle": "{characters} 个字符，{bytes} 字节",
    "only_search": "词表内容",
    "cut": "文本较长，只显示开头部分。",
    "figures": "指标",
    "figures_note": "“词”指一个汉字，或一串连续的其他字母与数字。字节词元：代表单个字节或字符的一部分。"
    "整字：汉字本身是一个词元或包含在更长的词元中。嵌入：宽度为 {width} 的嵌入矩阵的参数量。",
    "tokenizer": "分词器",
    "kind": "类型",
    "size": "词表大小",
    "tokens": "词元数",
    "characters": "字符数",
    "per_token": "字符/词元",
    "bytes_per_token": "字节/词元",
    "fertility": "词元/词",
    "unknown_share": "未知",
    "byte_share": "字节词元",
    "whole": "整字",
    "back": "可还原",
    "embedding": "嵌入参数 d={width}",
    "yes": "是",
    "no": "否",
    "difference": "{label}：文本不能还原：从第 {place} 个字符起，“{original}”变成了“{decoded}”。",
    "legend": "图例",
    "even": "词元",
    "bytes": "由字节组成的字符；⟨ ⟩ 中为不成字符的字节",
    "unknown": "未知词元及丢失的文本",
    "added": "手工添加的词元或特殊词元",
    "dropped": "没有任何词元对应的文本",
    "boxes": "小号数字为 id。{signs}",
    "signs": "␣ 表示空格，⏎ 表示换行，⇥ 表示制表符。",
    "more_boxes": "共 {total} 个方框，只画出前 {shown} 个。",
    "search": "查找：{wanted}",
    "is_piece": "“{wanted}”是一个词元：{ids}。",
    "no_piece": "“{wanted}”不是单独的词元。",
    "cut_into": "编码结果：{boxes}（词元数：{count}）。",
    "hits": "含有它的词元：{total}；显示：{shown}。",
    "no_id": "没有编号为 {wanted} 的词元。",
    "id": "id",
    "piece": "词元",
    "text": "文本",
    "data": "字节",
}
WORDS: Final[Mapping[str, Mapping[str, str]]] = {"en": _EN, "zh": _ZH}
_COLUMNS: Final = (
    *("tokenizer", "kind", "size", "tokens", "characters", "per_token", "bytes_per_token", "fertility"),
    *("unknown_share", "byte_share", "whole", "back", "embedding"),
)
_CLASSES: Final = {"byte": "bytes", "unknown": "unknown", "special": "special", "added": "added", "dropped": "dropped"}


@dataclass(frozen=True, slots=True)
class Subject:
    """What was asked for."""

    text: str | None
    is_cut: bool  # `text` is the beginning of a longer one
    search: str | None


def figure_table(seen: Sequence[Seen], words: Mapping[str, str]) -> tuple[list[str], list[list[str]]]:
    """Titles and rows, one for each tokenizer that saw a text."""
    titles = [words[name].format(width=EMBEDDING_WIDTH) for name in _COLUMNS]
    return titles, [_figure_row(one.label, one.view.figures, words) for one in seen if one.view]


def _figure_row(label: str, of: Figures, words: Mapping[str, str]) -> list[str]:
    ratios = (of.characters_per_token, of.bytes_per_token, of.fertility)
    return [
        label,
        of.kind,
        *(number(value) for value in (of.size, of.tokens, of.characters)),
        *("–" if value is None else f"{value:.2f}" for value in ratios),
        *(percent(part, whole) for part, whole in ((of.unknown, of.tokens), (of.byte_tokens, of.tokens))),
        percent(of.han_whole, of.han),
        words["yes" if of.difference is None else "no"],
        number(of.embedding_parameters),
    ]


def differences(seen: Sequence[Seen], words: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each tokenizer whose text does not come back."""
    for one in seen:
        if one.view and (found := one.view.figures.difference):
            yield words["difference"].format(
                label=one.label,
                place=number(found.after + 1),
                original=signs(found.original),
                decoded=signs(found.decoded),
            )


def verdict(wanted: str, found: Found, words: Mapping[str, str]) -> str:
    """Whether the text that was searched for is a piece, and how it is cut."""
    if found.boxes is None:
        return "" if found.total else words["no_id"].format(wanted=wanted)
    ids = ", ".join(f"#{number}" for number in found.exact)
    said = words["is_piece" if ids else "no_piece"].format(wanted=signs(wanted), ids=ids)
    count = sum(len(box.tokens) for box in found.boxes)
    cut = words["cut_into"].format(count=count, boxes=" | ".join(box.shown() for box in found.boxes))
    return f"{said} {cut}"


def hits(found: Found, words: Mapping[str, str]) -> str:
    """How many pieces were found."""
    return words["hits"].format(total=number(found.total), shown=number(len(found.tokens)))


def token_row(tokens: Sequence[Token], shown: str) -> list[str]:
    """Ids, pieces, text and bytes of one token, or of several that make one character."""
    return [
        " ".join(str(token.id) for token in tokens),
        " ".join(signs(token.piece) for token in tokens),
        shown,
        hexadecimal(b"".join(token.data for token in tokens)),
    ]


def token_titles(words: Mapping[str, str]) -> list[str]:
    """Of the columns of `token_row`."""
    return [words[name] for name in ("id", "piece", "text", "data")]


def render(seen: Sequence[Seen], subject: Subject, lang: str) -> str:
    """The whole page."""
    words = WORDS[lang]
    parts, subtitle = [], words["only_search"]
    if subject.text is not None:
        size = len(subject.text.encode())
        subtitle = words["subtitle"].format(characters=number(len(subject.text)), bytes=number(size))
        subtitle += f" · {words['cut']}" if subject.is_cut else ""
        parts += [_figures(seen, words), _legend(seen, words)]
        parts += [_boxes(index, one, words) for index, one in enumerate(seen)]
    if subject.search is not None:
        parts.append(_search(seen, subject.search, words))
    html_lang = {"en": "en", "zh": "zh-CN"}[lang]
    return report.page(words["title"], *parts, lang=html_lang, subtitle=subtitle, contents=words["contents"])


def _figures(seen: Sequence[Seen], words: Mapping[str, str]) -> Html:
    titles, rows = figure_table(seen, words)
    columns = [Column(title, numeric=index > 1) for index, title in enumerate(titles)]
    said = [report.paragraph(sentence) for sentence in differences(seen, words)]
    note = words["figures_note"].format(width=number(EMBEDDING_WIDTH))
    return report.section(words["figures"], report.table(columns, rows), *said, name="figures", note=note)


def _legend(seen: Sequence[Seen], words: Mapping[str, str]) -> Html:
    """Only what occurs."""
    kinds = {box.kind for one in seen if one.view for box in one.view.boxes}
    keys = [("even", "123"), *((_CLASSES[kind], "123") for kind in ("byte", "unknown", "added") if kind in kinds)]
    keys += [("special", "123")] if "special" in kinds and "added" not in kinds else []
    keys += [("dropped", "")] if "dropped" in kinds else []
    boxes = []
    for kind, id_ in keys:
        box = element("span", element("b", "字"), element("span", id_), class_=f"token {kind}")
        boxes.append(element("span", box, words["added" if kind == "special" else kind], class_="key"))
    note = words["boxes"].format(signs=words["signs"])
    return report.section(words["legend"], element("div", *boxes, class_="tokens"), name="legend", note=note)


def _boxes(index: int, one: Seen, words: Mapping[str, str]) -> Html:
    assert one.view is not None
    boxes = one.view.boxes
    note = ""
    if len(boxes) > MOST_BOXES:
        note = words["more_boxes"].format(shown=number(MOST_BOXES), total=number(len(boxes)))
    return report.section(one.label, *_lines(boxes[:MOST_BOXES]), name=f"tokenizer-{index + 1}", note=note)


def _lines(boxes: Sequence[Box]) -> Iterator[Html]:
    """One row of boxes for each line of the text."""
    row: list[Html] = []
    for index, box in enumerate(boxes):
        row.append(_box(box, "odd" if index % 2 else "even"))
        if box.ends_line or index == len(boxes) - 1:
            yield element("div", *row, class_="tokens")
            row = []


def _box(box: Box, parity: str) -> Html:
    kind = _CLASSES.get(box.kind, parity)
    if not box.tokens:
        return element("span", element("b", signs(box.lost or "")), class_=f"token {kind}")
    row = token_row(box.tokens, box.shown())
    title = " · ".join(part for part in (f"#{row[0]}", row[1], row[3]) if part)
    return element("span", element("b", row[2]), element("span", row[0]), class_=f"token {kind}", title=title)


def _search(seen: Sequence[Seen], wanted: str, words: Mapping[str, str]) -> Html:
    parts = []
    for one in seen:
        if one.found is None:
            continue
        parts.append(element("h3", one.label))
        if said := verdict(wanted, one.found, words):
            parts.append(report.paragraph(said))
        if one.found.tokens:
            columns = [Column(title) for title in token_titles(words)]
            rows = [token_row([token], signs(token.text or "")) for token in one.found.tokens]
            parts.append(report.table(columns, rows, caption=hits(one.found, words)))
    return report.section(words["search"].format(wanted=signs(wanted)), *parts, name="search")
