"""Chinese pages made from word lists, and dumps made from the pages: same seed, same bytes.

Out: folders with WARC.gz, JSON lines and HTML files. The sentences are varied enough to pass the shipped
rules and no two pages are near-copies, so what a run loses or doubles shows in its counts.
"""

import gzip
import io
import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "dump"


def _words(text: str) -> list[str]:
    return text.split()


_WHO = _words(
    """
    老船长 邻居家的孩子 图书馆的管理员 修表的师傅 刚毕业的医生 村里的会计 我的外祖母 那位园丁
    值夜班的护士 摄影爱好者 合唱团的指挥 卖豆腐的阿姨 气象站的观测员 乡村教师 退休的邮差
    骑车的学生 码头工人 年轻的木匠 天文社的成员 两位译者 养蜂人 博物馆的讲解员 小店老板 火车司机
    水利工程师 种茶的农户 住在楼上的画家 社区的志愿者 考古队员 面包师
    """
)
_WHEN = _words(
    """
    去年冬天 清晨五点 雨停以后 每逢周末 那个漫长的夏天 傍晚时分 放学的路上 秋收之前 午饭过后
    第二天一早 过了很多年 刚入春的时候 台风到来的前夜 月亮升起来以后 开会之前 整整三个月里
    节日的早晨 搬家那一天 天还没亮 上个世纪末
    """
)
_WHERE = _words(
    """
    在河边的旧仓库里 在山脚下的小站 在县城的集市上 在三楼的阅览室 在码头尽头 在院子的枣树下
    在刚修好的石桥旁 在老城的巷子深处 在学校的操场边 在实验室的窗前 在渡口的茶摊 在高原的牧场
    在地下车库 在雾气弥漫的江面 在灯塔顶层 在菜园的篱笆后面 在博物馆的库房 在铁路桥下
    在海拔两千米的垭口 在候车大厅
    """
)
_DID = _words(
    """
    修好了一台旧收音机 整理出半箱发黄的信件 画下了整条街的屋顶 记录了十七种鸟的叫声
    种下一排矮小的桂花 把坏掉的水泵拆开检查 教孩子们辨认星座 量出了水位的变化
    为陌生人煮了一锅姜汤 读完了那本厚厚的航海日记 发现墙里藏着一只铁盒 拍到了难得一见的云海
    重新刷了门窗的油漆 算清了全年的账目 写信给远方的朋友 试着烤出第一炉面包 找回了丢失的钥匙
    比较了两种纸的厚薄 讲起祖父年轻时的故事 听见远处传来汽笛声 捡到一块带花纹的陶片
    学会了用竹片编筐子 替邻居照看两只山羊 看着潮水慢慢退去 把地图上的错误标了出来
    """
)
_THEN = _words(
    """
    这件事后来被许多人提起 谁也没有想到结果会这样 不过当时并没有人在意 因此大家决定再等一等
    其实原因非常简单 邻居们都觉得很有意思 这让整个计划推迟了几天 从那以后情况慢慢好转
    可惜照片已经找不到了 所以费用比预想的要低 至今还能看到留下的痕迹 连最严格的评委也点头称赞
    孩子们为此高兴了一整天 报纸用很小的篇幅登了这条消息 如果换一种做法也许更好
    有人认为这只是巧合 他们约好来年再见 问题终于得到解决 但是天气并不总是配合
    风从北面吹来带着盐的味道 说到底还是要靠耐心 材料的价格却涨了不少 那本笔记至今保存完好
    经验就是这样一点点积累的
    """
)
_LINK = _words("， ， ， 于是 ；而且 ，结果 ，同时 ；然而 ，后来")


def sentence(rng: random.Random) -> str:
    """One sentence of 25 to 60 characters."""
    words = [rng.choice(_WHEN), "，", rng.choice(_WHO)]
    if rng.random() < 0.7:
        words.append(rng.choice(_WHERE))
    words.append(rng.choice(_DID))
    if rng.random() < 0.4:
        words += ["，又", rng.choice(_DID)]
    if rng.random() < 0.3:
        words.append(f"，前后用了{rng.randint(2, 970)}{rng.choice('天步米块次页')}")
    words += [rng.choice(_LINK), rng.choice(_THEN), rng.choice("。。。。！？")]
    return "".join(words)


def text(rng: random.Random, sentences: int) -> str:
    """Paragraphs of three to five sentences."""
    lines: list[str] = []
    while sentences > 0:
        count = min(sentences, rng.randint(3, 5))
        lines.append("".join(sentence(rng) for _ in range(count)))
        sentences -= count
    return "\n".join(lines)


def html(rng: random.Random, sentences: int, title: str) -> str:
    """A page with a menu and a footer around the text."""
    body = "".join(f"<p>{line}</p>" for line in text(rng, sentences).split("\n"))
    menu = "".join(f'<li><a href="/{n}">栏目{n}</a></li>' for n in range(6))
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{title}</title></head><body><ul>{menu}</ul>'
        f"<article><h1>{title}</h1>{body}</article><footer>版权所有</footer></body></html>"
    )


def warc_record(url: str, body: bytes) -> bytes:
    """A response record; its digest and id are left out, so that the bytes depend on nothing else."""
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-05-06T07:08:09Z\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def member(data: bytes) -> bytes:
    """One gzip member without a time in it."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as file:
        file.write(data)
    return out.getvalue()


def write_jsonl(path: Path, rng: random.Random, count: int, sentences: int) -> None:
    """`count` texts of about `sentences` sentences, one a line."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            size = max(4, round(sentences * rng.uniform(0.6, 1.4)))
            record = {"text": text(rng, size), "url": f"http://lines.example/{path.stem}/{number}"}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class Size:
    """Pages of each kind; `sentences` is their mean length (a sentence: about 45 characters, 130 bytes)."""

    warc: int
    jsonl: int
    files: int
    sentences: int


def mixed_dump(folder: Path, seed: int, size: Size) -> Path:
    """WARC.gz, JSON lines, a folder of HTML, and the example dump with its copies and bad pages."""
    rng = random.Random(seed)
    (folder / "html").mkdir(parents=True)
    pages = [html(rng, max(4, round(size.sentences * rng.uniform(0.6, 1.4))), f"第{n}篇") for n in range(size.warc)]
    with (folder / "crawl.warc.gz").open("wb") as file:
        for number, page in enumerate(pages):
            file.write(member(warc_record(f"http://pages.example/{number}", page.encode())))
    write_jsonl(folder / "lines.jsonl", rng, size.jsonl, size.sentences)
    with (folder / "lines.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"text": "cut\n')  # so that there is something in quarantine
    for number in range(size.files):
        page = html(rng, size.sentences, f"第{number}页")
        (folder / "html" / f"{number:04}.html").write_text(page, encoding="utf-8")
    shutil.copytree(EXAMPLE, folder / "example")
    return folder
