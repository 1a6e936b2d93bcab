"""Tables for decode.py: what charset labels mean, and the characters that show Chinese text was read rightly.

Labels are those of the WHATWG Encoding Standard (https://encoding.spec.whatwg.org/#names-and-labels), with
GBK given as gb18030, its superset. The characters are among the 600 most frequent of modern Chinese, the
mainland forms and where they differ the traditional ones.
"""

from typing import Final

_NAMES: Final = {
    "utf-8": "utf-8 utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8",
    "gb18030": "gb18030 gbk gb2312 gb_2312 gb_2312-80 chinese csgb2312 csiso58gb231280 iso-ir-58 x-gbk"
    " cp936 ms936 windows-936 euc-cn gb-2312",
    "big5": "big5 big5-hkscs cn-big5 csbig5 x-x-big5 big-5 cp950 windows-950",
    "windows-1252": "windows-1252 cp1252 x-cp1252 iso-8859-1 iso8859-1 iso_8859-1 iso88591 latin1 latin-1 l1"
    " ascii us-ascii ansi_x3.4-1968 cp819 ibm819 csisolatin1 iso-ir-100 iso_8859-1:1987",
    "windows-1250": "windows-1250 cp1250 x-cp1250",
    "windows-1251": "windows-1251 cp1251 x-cp1251",
    "windows-1253": "windows-1253 cp1253 x-cp1253",
    "windows-1254": "windows-1254 cp1254 x-cp1254 iso-8859-9 iso8859-9 iso_8859-9 latin5 l5",
    "windows-1255": "windows-1255 cp1255 x-cp1255",
    "windows-1256": "windows-1256 cp1256 x-cp1256",
    "windows-1257": "windows-1257 cp1257 x-cp1257",
    "windows-1258": "windows-1258 cp1258 x-cp1258",
    "windows-874": "windows-874 dos-874 tis-620 iso-8859-11 iso8859-11",
    "iso-8859-2": "iso-8859-2 iso8859-2 iso_8859-2 latin2 l2",
    "iso-8859-3": "iso-8859-3 iso8859-3 latin3",
    "iso-8859-4": "iso-8859-4 iso8859-4 latin4",
    "iso-8859-5": "iso-8859-5 iso8859-5 cyrillic",
    "iso-8859-6": "iso-8859-6 iso8859-6 arabic",
    "iso-8859-7": "iso-8859-7 iso8859-7 greek greek8",
    "iso-8859-8": "iso-8859-8 iso8859-8 hebrew iso-8859-8-i",
    "iso-8859-10": "iso-8859-10 iso8859-10 latin6",
    "iso-8859-13": "iso-8859-13 iso8859-13",
    "iso-8859-14": "iso-8859-14 iso8859-14",
    "iso-8859-15": "iso-8859-15 iso8859-15 iso_8859-15 latin-9 l9",
    "iso-8859-16": "iso-8859-16",
    "koi8-r": "koi8-r koi8 koi koi8_r",
    "koi8-u": "koi8-u koi8-ru",
    "macintosh": "macintosh mac x-mac-roman",
    "ibm866": "ibm866 cp866 866",
    "shift_jis": "shift_jis shift-jis sjis x-sjis ms_kanji ms932 windows-31j csshiftjis cp932",
    "euc-jp": "euc-jp x-euc-jp euc_jp cseucpkdfmtjapanese",
    "iso-2022-jp": "iso-2022-jp csiso2022jp",
    "euc-kr": "euc-kr euc_kr cp949 ks_c_5601-1987 ks_c_5601-1989 ksc5601 korean windows-949 uhc",
    "utf-16le": "utf-16le utf-16 unicode ucs-2 iso-10646-ucs-2 csunicode unicodefeff",
    "utf-16be": "utf-16be unicodefffe",
}
LABELS: Final = {label: name for name, labels in _NAMES.items() for label in labels.split()}
# Python's names where they differ, in the wider variant that browsers use.
PYTHON_CODECS: Final = {
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "macintosh": "mac_roman",
    "windows-874": "cp874",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
}

COMMON_HAN: Final = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然"
    "家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把"
    "机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果"
    "加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔"
    "更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展"
    "马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共"
    "确传师观清今切院让识候带导争运快网站点版权新闻首页登录注册用户联系我们关于搜索上一下一返回更多评论发表本站"
    "這個們來說時會對發後裡裏過樣種經麼學現當沒動還進實從無與長機關點業將兩間問並應戰頭體見產東聲員論處義幾認條係氣"
    "題爾別變總電數報結務場計資許統區隊決馬書聽達強難權設記類據規萬覺術領確傳師觀讓識帶導爭運為國開於門話內給兒"
    "網頁登錄註冊聯繫關聞討論發佈標題專區最後訊息資料台灣臺妳著"
)
