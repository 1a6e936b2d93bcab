"""What the block kernels know of HTML: kinds of tags, and what the words of class and id attributes hint at.

In: nothing. Out: one frozen `MarkupTables`, built once per process in about 1 ms. The words are those of the trade
(`content`, `sidebar`, `breadcrumb`, pinyin such as `zhengwen`); no site's own class names are here, and how much a
hint weighs is learnt (bench/fit_extract.py), not written down.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpus.charclass import HASH_MULTIPLIER, hash_codes, hash_set

# Kinds of tags, as bits.
BLOCK, SKIP, RAW, VOID, BREAK, LINK, BOLD, PRE, CODE, IMAGE = (1 << i for i in range(10))

_BLOCKS = (
    "address article aside blockquote body button caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup html label legend li listing main menu nav noscript "
    "ol p pre search section summary table tbody td tfoot th thead tr ul"
)
_SKIPPED = "head svg math template select datalist textarea object canvas audio video map rp"
_RAW = "script style xmp iframe noembed noframes plaintext"
_VOID = "area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr"
_KINDS = {
    **dict.fromkeys(_BLOCKS.split(), BLOCK),
    **dict.fromkeys(_SKIPPED.split(), SKIP),
    **dict.fromkeys(_RAW.split(), RAW | SKIP),
    **dict.fromkeys(_VOID.split(), VOID),
    "br": VOID | BREAK,
    "hr": VOID | BREAK,
    "img": VOID | IMAGE,
    "a": LINK,
    "b": BOLD,
    "strong": BOLD,
    "code": CODE,
    "pre": BLOCK | PRE,
    "listing": BLOCK | PRE,
}
TAGS = ("", *sorted(_KINDS))
TAG = {name: index for index, name in enumerate(TAGS)}

# Hints in the order of their bits. The first are set by tags, roles and attributes, the others by words.
TAG_HINTS = {
    "article": "article",
    "main": "main",
    "nav": "nav menu search",
    "aside": "aside",
    "footer": "footer",
    "header": "header hgroup",
    "form": "form fieldset",
    "list": "li",
    "definition": "dl",
    "table": "table",
    "figure": "figure figcaption",
    "quote": "blockquote",
    "button": "button label legend",
    "paragraph": "p",
    "noscript": "noscript",
    "hidden": "",
    "body_text": "",  # itemprop="articleBody" and its like
}
WORD_HINTS = {
    "w_main": "content contents article articles body text entry story main detail details maincontent articlebody "
    "articlecontent articletext postbody postcontent storybody storytext newstext newscontent entrycontent bodytext "
    "contenttext textbody contentbody maintext mainbody zhengwen neirong wenzhang richtext markdown prose document "
    "doc docs page rst fulltext editor paragraph copy",
    "w_comment": "comment comments commentlist cmt cmts reply replies respond response discuss discussion disqus "
    "pinglun liuyan feedback commenter guestbook remark review reviews huifu",
    "w_nav": "nav navi navbar navigation menu submenu breadcrumb breadcrumbs crumb crumbs path tab tabs toolbar topbar "
    "topnav subnav mainnav daohang pagination pager pages paging pagenav pagelist toc sitemap skip topmenu mainmenu "
    "channel position location weizhi",
    "w_foot": "foot footer copyright bottom legal footnav footbar foota banquan disclaimer colophon",
    "w_head": "head header top banner masthead logo topper hd",
    "w_side": "side sidebar aside left right col rail widget widgets column panel secondary rightcol leftcol "
    "rightside leftside sub rightbar leftbar sidenav block module box",
    "w_related": "related relate recommend recommended recommendation recommendations more similar hot hottest latest "
    "popular rank ranking list recent xiangguan tuijian trending most next prev previous teaser teasers links link "
    "headlines readmore morenews relatednews relatedlink hotnews guess rel promo feed carousel also",
    "w_share": "share sharing shares social socials bookmark bookmarks addthis sharethis sns weibo weixin wechat "
    "facebook twitter like likes follow tools tool fenxiang jiathis bdshare bshare email print plurk google qrcode",
    "w_meta": "author byline date time info meta source tag tags category categories editor publish published posted "
    "timestamp keyword keywords laiyuan zuozhe shijian pubtime postmeta datetime credit dateline profile user "
    "avatar username userinfo nickname rating stats",
    "w_ad": "ad ads adv advert advertisement advertising adsense sponsor sponsored guanggao gg dfp adbox adslot "
    "commercial outbrain taboola",
    "w_post": "post posts postmessage thread threads topic topics message messages question questions answer answers "
    "floor forum bbs tiezi louzhu posttext postcell qa wenda zhidao",
    "w_title": "title titles headline subject subtitle biaoti heading posttitle arttitle",
    "w_caption": "caption captions photo photos image images gallery picture pic pics img figure thumb thumbnail "
    "slideshow video videos player media tupian multimedia",
    "w_form": "login logon signin signup form search subscribe subscription newsletter register popup modal cookie "
    "cookies consent dialog overlay alert denglu zhuce lightbox paywall notice",
    "w_summary": "summary abstract lead excerpt intro introduction description standfirst deck dek lede zhaiyao daodu",
    "w_code": "code highlight highlighter codehilite source sourcecode syntax syntaxhighlighter prettyprint",
}
HINTS = (*TAG_HINTS, *WORD_HINTS)
HINT = {name: index for index, name in enumerate(HINTS)}
# Values of role and itemprop, which say the same as a tag would.
_ROLES = {
    "navigation": "nav",
    "menubar": "nav",
    "search": "nav",
    "complementary": "aside",
    "contentinfo": "footer",
    "banner": "header",
    "main": "main",
    "article": "article",
    "button": "button",
    "tablist": "nav",
    "articlebody": "body_text",
    "dialog": "hidden",
}


@dataclass(frozen=True, slots=True)
class MarkupTables:
    """Open-addressing sets of hashed names with the value of each slot beside it."""

    tag_keys: NDArray[np.uint64]
    tag_ids: NDArray[np.int64]
    tag_kinds: NDArray[np.int64]  # by id
    tag_bits: NDArray[np.uint64]  # hints that a tag sets, by id
    word_keys: NDArray[np.uint64]
    word_bits: NDArray[np.uint64]
    role_keys: NDArray[np.uint64]
    role_bits: NDArray[np.uint64]


def _hash(name: str) -> int:
    return hash_codes([ord(c) for c in name])


def _bits(values: dict[str, int]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    keys, slots = hash_set([_hash(name) for name in values], np.uint64, HASH_MULTIPLIER)
    bits = np.zeros(len(keys), np.uint64)
    bits[slots] = list(values.values())
    return keys, bits


@functools.cache
def markup_tables() -> MarkupTables:
    """The tables of this process."""
    tag_keys, slots = hash_set([_hash(name) for name in TAGS[1:]], np.uint64, HASH_MULTIPLIER)
    tag_ids = np.zeros(len(tag_keys), np.int64)
    tag_ids[slots] = range(1, len(TAGS))
    tag_bits = np.zeros(len(TAGS), np.uint64)
    for hint, names in TAG_HINTS.items():
        tag_bits[[TAG[name] for name in names.split()]] = np.uint64(1 << HINT[hint])
    words: dict[str, int] = {}
    for hint, names in WORD_HINTS.items():
        for name in names.split():
            words[name] = words.get(name, 0) | 1 << HINT[hint]
    kinds = np.array([0, *(_KINDS[name] for name in TAGS[1:])], np.int64)
    roles = {name: 1 << HINT[hint] for name, hint in _ROLES.items()}
    return MarkupTables(tag_keys, tag_ids, kinds, tag_bits, *_bits(words), *_bits(roles))
