"""The columns of the block features: their names, where each group begins, and kinds of tags.

In: nothing. Out: `FEATURES`, the order in which the kernels of `blocks_features` and `blocks_around` fill a row and in
which the shipped trees read it. Bytes are the unit of length: a Chinese character has three, a Latin letter one, which
is about what they carry.
"""

import numpy as np

from corpus.blocks_tables import HINT, HINTS
from corpus.blocks_tables import TAG as TAG_ID


def names(text: str) -> list[str]:
    """Names between spaces."""
    return text.split()


N_HINTS = len(HINTS)
FAR = 15  # a hint that no ancestor gives
_TEXT = names(
    "bytes link_share links bold_share images after_break inline han_share digit_share upper_share punctuation_share "
    "symbol_share commas ends end_share stop_share words date separator_share colons last_end last_colon first_bullet "
    "first_digit title_share title_cover last_latin first_upper link_first link_last prose"
)
_TAGS = names("heading paragraph item cell definition code div quote caption label depth only_child same_text")
_HINTS = [f"near_{name}" for name in HINTS]
_CONTAINER = [
    f"box{level}_{name}"
    for level in range(3)
    for name in names("blocks bytes link_share prose_share place long_share headings up")
]
_CANDIDATE = names("cand_inside cand_up cand_down cand_before cand_after cand_share cand_bytes cand_place cand_lift")
_GROUP = [f"{kind}_{name}" for kind in ("path", "look") for name in names("count bytes link_share prose_share")]
_PAGE = names(
    "page_blocks page_bytes page_link_share page_prose page_han place place_bytes prose_before prose_after "
    "since_heading since_prose until_prose since_h1 title_seen"
)
_NEAR = names("bytes link_share prose last_end stop_share same_path heading digit_share")
_OFFSETS = (-3, -2, -1, 1, 2, 3)
_NEIGHBOURS = [f"at{offset:+d}_{name}" for offset in _OFFSETS for name in _NEAR]
_HEADLINE = names("head_after head_before head_lca_up head_lca_down head_kind head_same_box")
_SIGNED = ("article", "main", "body_text", "w_main", "w_post", "w_comment")
_INSIDE = [f"{name}_{what}" for name in _SIGNED for what in ("count", "bytes", "prose")]
_WORDS = names("words_score words_before words_after words_lowest words_mean")
_WINDOW = names("window_prose window_link window_bytes wide_prose wide_link wide_bytes")
FEATURES = (
    *(*_TEXT, *_TAGS, *_HINTS, *_CONTAINER, *_CANDIDATE, *_GROUP),
    *(*_PAGE, *_NEIGHBOURS, *_WINDOW, *_HEADLINE, *_INSIDE, *_WORDS),
)
AT = {name: index for index, name in enumerate(FEATURES)}

A_TEXT, A_TAGS, A_HINTS, A_BOX = AT["bytes"], AT["heading"], AT[_HINTS[0]], AT[_CONTAINER[0]]
A_CANDIDATE, A_GROUP, A_PAGE = AT[_CANDIDATE[0]], AT[_GROUP[0]], AT[_PAGE[0]]
A_NEAR, A_WINDOW = AT[_NEIGHBOURS[0]], AT[_WINDOW[0]]
A_HEADLINE, A_INSIDE, A_WORDS = AT[_HEADLINE[0]], AT[_INSIDE[0]], AT[_WORDS[0]]
AT_TITLE_SHARE, AT_TITLE_COVER = AT["title_share"], AT["title_cover"]
SIGNED_BITS = np.array([HINT[name] for name in _SIGNED], np.uint64)
N_NEAR = len(_NEAR)
LINK_SHARE, ENDED = AT["link_share"], AT["last_end"]
STOP_SHARE, DIGIT_SHARE = AT["stop_share"], AT["digit_share"]
PROSE, HEADING = AT["prose"], AT["heading"]

KIND_OF_TAG = np.zeros(max(TAG_ID.values()) + 1, np.int64)
for _names, _kind in (
    ("h1 h2 h3 h4 h5 h6", 1),
    ("p", 2),
    ("li", 3),
    ("td th tr caption", 4),
    ("dt dd dl", 5),
    ("pre listing", 6),
    ("div section article main body center", 7),
    ("blockquote", 8),
    ("figcaption figure", 9),
    ("label button legend", 10),
):
    for _name in _names.split():
        KIND_OF_TAG[TAG_ID[_name]] = _kind
H1 = TAG_ID["h1"]
# Columns of the sums over an element's blocks.
S_BYTES, S_LINK, S_PROSE, S_LONG, S_HEADINGS = range(5)
LONG_LINE = 90  # bytes; a line of prose, not a menu entry
