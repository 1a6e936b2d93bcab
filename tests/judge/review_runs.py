"""A run of `judge compare` as people review it, and the page's server in a thread of the test's own process."""

import asyncio
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from judge.records import ANSWERS, QUESTIONS, VERDICTS, Answer, Question, Verdict
from judge.review_app import LIMITS, review_app
from judge.review_items import read_items
from judge.review_session import Session, Settings
from judge.review_store import FILE, ReviewStore
from runkit.page import Access, Limits
from runkit.page_server import PageServer, listen, url_of

# Names that no text of a page holds by accident.
SYSTEMS = ("kunpeng-13b-sft", "zhuque-7b-base", "xuanwu-chat-v2")
CODE = """可以用切片，最短：

```python
def reverse(items: list) -> list:
    \"\"\"返回一个顺序相反的新列表，原列表不变。\"\"\"
    return items[::-1]
```

如果想就地反转，用 `items.reverse()`，它不返回新列表。"""
LONG = "\n\n".join(
    f"第{number}点，{said}"
    for number, said in enumerate(
        [
            "先把要做的事写下来，按轻重缓急排个顺序，最重要的放在精神最好的时段。",
            "一次只做一件事。频繁切换会让人感觉很忙，真正完成的却不多。",
            "给每件事定一个截止时间，哪怕没人催。没有期限的事，往往会一拖再拖。",
            "每工作五十分钟，起来走动十分钟，喝口水，看看远处。",
            "把手机放到看不见的地方，通知全部关掉，集中处理消息。",
            "晚上花五分钟回顾：今天完成了什么，明天第一件事是什么。",
            "允许自己有做不完的时候，留出一些空白时间应付意外。",
        ]
        * 3,
        1,
    )
)
# category, question, reference, answers of the systems in the order above
TASKS: tuple[tuple[str, str, str | None, tuple[str, str, str]], ...] = (
    (
        "math",
        "小明有 24 颗糖，分给 3 个同学，每人 5 颗，又买了 8 颗，现在有多少颗？",
        "24 − 3×5 + 8 = 17，现在有 17 颗糖。",
        (
            "先算分出去的：3×5=15 颗；剩下 24−15=9 颗；再买 8 颗，9+8=17 颗。\n\n答：现在有 17 颗。",
            "24 减去 5 等于 19，再加上 8，所以一共是 27 颗糖。",
            "小明现在有 17 颗糖。",
        ),
    ),
    (
        "code",
        "用 Python 写一个函数，把列表倒过来。",
        None,
        (CODE, "使用 reverse 即可。", "```python\ndef f(x):\n    x.sort()\n    return x\n```"),
    ),
    (
        "open qa",
        "怎样才能更有效地安排一天的时间？请给出具体的建议。",
        None,
        (LONG, "1. 早睡早起。\n2. 列计划。\n3. 少看手机。\n4. 劳逸结合。", "要努力，要坚持，时间就像海绵里的水。"),
    ),
    (
        "translation",
        "把下面的话译成中文：“The early bird catches the worm, but the second mouse gets the cheese.”",
        "早起的鸟儿有虫吃，但第二只老鼠才有奶酪吃。",
        (
            "早起的鸟儿有虫吃，不过奶酪是第二只老鼠得到的。",
            "早鸟抓虫，第二鼠标得到奶酪。",
            "早起的鸟儿有虫吃，但第二只老鼠才吃得到奶酪。",
        ),
    ),
)


@dataclass(frozen=True)
class Made:
    """A run, and what the judge thinks of each system: points of quality."""

    path: Path
    questions: int
    systems: tuple[str, ...]


def write_run(path: Path, questions: int = 12, systems: Sequence[str] = SYSTEMS[:2], verdicts: bool = True) -> Made:
    """Questions by turns from `TASKS`, each with a number so that no two are the same; a judge asked in both orders."""
    path.mkdir(parents=True, exist_ok=True)
    rng = random.Random(questions)
    asked, answered, judged = [], [], []
    for number in range(questions):
        category, text, reference, texts = TASKS[number % len(TASKS)]
        id = f"q{number:03}"
        mark = "" if number < len(TASKS) else f"（第 {number + 1} 题）"
        asked.append(Question(id=id, category=category, text=text + mark, reference=reference))
        for system, said in zip(systems, texts, strict=False):
            answered.append(Answer(question_id=id, system=system, text=said + mark, call_id="1"))
        for a in range(len(systems)):
            for b in range(a + 1, len(systems)):
                points = [8 - 3 * a + rng.choice((-1, 0, 1)), 8 - 3 * b + rng.choice((-1, 0, 1))]
                judged += both_orders(id, category, systems[a], systems[b], points)
    write_lines(path / QUESTIONS, asked)
    write_lines(path / ANSWERS, answered)
    if verdicts:
        write_lines(path / VERDICTS, judged)
    return Made(path, questions, tuple(systems))


def both_orders(
    question: str, category: str, a: str, b: str, points: Sequence[float], judge: str = "the-judge"
) -> list[Verdict]:
    """The same scores in both orders."""
    found = []
    for first, second, scores in ((a, b, points), (b, a, points[::-1])):
        choice = "tie" if scores[0] == scores[1] else "first" if scores[0] > scores[1] else "second"
        found.append(
            Verdict(
                question_id=question,
                category=category,
                first=first,
                second=second,
                judge=judge,
                grammar="two-scores",
                raw=f"{scores[0]} {scores[1]}",
                state="ok",
                score_first=scores[0],
                score_second=scores[1],
                choice=choice,  # type: ignore[arg-type]
            )
        )
    return found


def write_lines(path: Path, records: Sequence[Any]) -> None:
    path.write_bytes(b"".join(orjson.dumps(asdict(one)) + b"\n" for one in records))


@dataclass
class Reviewed:
    """A running server."""

    url: str
    port: int
    session: Session


@contextmanager
def reviewed(
    run: Path, access: Access | None = None, limits: Limits = LIMITS, lang: str = "", log: bool = False, **settings: Any
) -> Iterator[Reviewed]:
    """Answers while the block lasts."""
    bound = listen("127.0.0.1", 0, has_token=False)
    ready = threading.Event()
    with ReviewStore.open(run / FILE) as store:
        session = Session(read_items(run), store, Settings(**settings))
        guard = review_app(session, access or Access(open_paths=frozenset({"/", "/health"})), lang, limits, log)
        server = PageServer(guard, bound, ready.set, grace_s=0.2)
        thread = threading.Thread(target=lambda: asyncio.run(server.run()), daemon=True)
        thread.start()
        assert ready.wait(20)
        url = url_of(bound)
        try:
            yield Reviewed(url, int(url.rsplit(":", 1)[1]), session)
        finally:
            server.stop_from_thread()
            thread.join(20)
            bound.close()
            assert not thread.is_alive()
