"""Tasks whose answers are computed: arithmetic, calendar, numbers, short programs.

In: a seeded `random.Random`. Out: drafts that are right by construction. Nothing here reads a text. Price: 20 µs each.
"""

import calendar
import datetime
from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Final

Fact = tuple[str, str]  # instruction and answer

_NAMES: Final = ("小林", "阿宁", "老周", "晓雯", "建国", "思远", "一鸣", "佳怡")
_GOODS: Final = (
    ("铅笔", "支"),
    ("练习本", "本"),
    ("毛巾", "条"),
    ("橙子", "斤"),
    ("灯泡", "个"),
    ("茶杯", "只"),
    ("围巾", "条"),
    ("电池", "节"),
)
_WEEK: Final = "一二三四五六日"
_DIGITS: Final = "零一二三四五六七八九"


def _shopping(rng: Random) -> Fact:
    (good, unit), (other, other_unit) = rng.sample(_GOODS, 2)
    count, price, others, other_price = (rng.randint(2, 12) for _ in range(4))
    total = count * price + others * other_price
    paid = -(-total // 50) * 50
    who = rng.choice(_NAMES)
    return (
        f"{who}买了 {count} {unit}{good}，每{unit} {price} 元，又买了 {others} {other_unit}{other}，每{other_unit} "
        f"{other_price} 元，付给店员 {paid} 元。应该找回多少钱？",
        f"{good}：{count} × {price} = {count * price} 元。\n"
        f"{other}：{others} × {other_price} = {others * other_price} 元。\n"
        f"一共：{count * price} + {others * other_price} = {total} 元。\n找回：{paid} − {total} = {paid - total} 元。",
    )


def _road(rng: Random) -> Fact:
    speed, hours, more = rng.randint(40, 110), rng.randint(2, 6), rng.randint(5, 30)
    whole = speed * hours + more
    return (
        f"一辆客车从甲城开往乙城，先以每小时 {speed} 千米的速度行驶了 {hours} 小时，这时离乙城还有 {more} 千米。"
        "两城相距多少千米？",
        f"已经行驶：{speed} × {hours} = {speed * hours} 千米。\n全程：{speed * hours} + {more} = {whole} 千米。",
    )


def _tank(rng: Random) -> Fact:
    fill, leak = rng.randint(20, 60), rng.randint(3, 15)
    minutes = rng.randint(6, 40)
    size = (fill - leak) * minutes
    return (
        f"水箱的容积是 {size} 升，进水管每分钟注入 {fill} 升，同时出水管每分钟放走 {leak} 升。空箱注满要几分钟？",
        f"每分钟净增：{fill} − {leak} = {fill - leak} 升。\n需要：{size} ÷ {fill - leak} = {minutes} 分钟。",
    )


def _mean(rng: Random) -> Fact:
    count = rng.randint(4, 6)
    marks = [rng.randint(60, 100) for _ in range(count - 1)]
    marks.append(rng.randint(60, 100))
    total = sum(marks)
    mean = Fraction(total, count)
    shown = str(mean) if mean.denominator == 1 else f"{float(mean):.2f}"
    sign = "=" if Fraction(shown) == mean else "≈"
    listed = "、".join(map(str, marks))
    plus = " + ".join(map(str, marks))
    return (
        f"{rng.choice(_NAMES)}的几次测验成绩是 {listed}，求平均分（除不尽时保留两位小数）。",
        f"总分：{plus} = {total}。\n平均：{total} ÷ {count} {sign} {shown}。",
    )


def _fraction(rng: Random) -> Fact:
    one, other = (Fraction(rng.randint(1, 8), rng.randint(2, 9)) for _ in range(2))
    sign, result = ("+", one + other) if rng.random() < 0.5 else ("×", one * other)
    return f"计算 {one} {sign} {other}，结果写成最简分数。", f"{one} {sign} {other} = {result}"


def _rectangle(rng: Random) -> Fact:
    long, wide = rng.randint(8, 40), rng.randint(3, 20)
    edge = 2 * (long + wide)
    return (
        f"菜园是长方形，长 {long} 米，宽 {wide} 米。围一圈篱笆要多长？菜园的面积是多少？",
        f"篱笆：2 × ({long} + {wide}) = {edge} 米。\n面积：{long} × {wide} = {long * wide} 平方米。",
    )


def _weekday(rng: Random) -> Fact:
    day = datetime.date(rng.randint(1950, 2049), rng.randint(1, 12), rng.randint(1, 28))
    return f"{day.year} 年 {day.month} 月 {day.day} 日是星期几？", f"星期{_WEEK[day.weekday()]}。"


def _days_between(rng: Random) -> Fact:
    first = datetime.date(rng.randint(1990, 2040), rng.randint(1, 12), rng.randint(1, 28))
    later = first + datetime.timedelta(days=rng.randint(20, 300))
    return (
        f"从 {first.year} 年 {first.month} 月 {first.day} 日起，过多少天到 "
        f"{later.year} 年 {later.month} 月 {later.day} 日？",
        f"{(later - first).days} 天。",
    )


def _leap(rng: Random) -> Fact:
    year = rng.choice([rng.randint(1600, 2400), rng.randint(16, 24) * 100])
    if calendar.isleap(year):
        why = f"{year} 能被 400 整除" if year % 400 == 0 else f"{year} 能被 4 整除而不能被 100 整除"
        return f"公历 {year} 年的二月有几天？为什么？", f"29 天。{why}，是闰年。"
    why = f"{year} 能被 100 整除而不能被 400 整除" if year % 100 == 0 else f"{year} 不能被 4 整除"
    return f"公历 {year} 年的二月有几天？为什么？", f"28 天。{why}，不是闰年。"


def _binary(rng: Random) -> Fact:
    number = rng.randint(17, 1000)
    base, name = rng.choice([(2, "二进制"), (8, "八进制"), (16, "十六进制")])
    return f"十进制数 {number} 用{name}怎样表示？", f"{format(number, {2: 'b', 8: 'o', 16: 'X'}[base])}（{name}）。"


def _numeral(rng: Random) -> Fact:
    digits = [rng.randint(1, 9) for _ in range(4)]
    number = int("".join(map(str, digits)))
    read = "".join(_DIGITS[digit] + unit for digit, unit in zip(digits, ("千", "百", "十", ""), strict=True))
    return f"“{number}”用汉字怎样读写？", f"{read}。"


def _divisors(rng: Random) -> Fact:
    number = rng.randint(12, 200)
    found = [n for n in range(1, number + 1) if number % n == 0]
    return f"把 {number} 的全部因数从小到大列出来，并说明它是不是质数。", (
        f"{number} 的因数：{'、'.join(map(str, found))}。\n{number} {'是' if len(found) == 2 else '不是'}质数。"
    )


def _program(task: str, body: str) -> Callable[[Random], Fact]:
    return lambda rng: (task, f"```python\n{body}\n```")


MATH: Final[tuple[Callable[[Random], Fact], ...]] = (_shopping, _road, _tank, _mean, _fraction, _rectangle, _divisors)
OPEN_QA: Final[tuple[Callable[[Random], Fact], ...]] = (_weekday, _days_between, _leap, _binary, _numeral)
CODE: Final[tuple[Callable[[Random], Fact], ...]] = (
    _program(
        "用 Python 写一个函数，统计字符串里每个汉字出现的次数，其他字符不计。",
        "from collections import Counter\n\n\ndef count_han(text):\n"
        '    return Counter(char for char in text if "\\u4e00" <= char <= "\\u9fff")',
    ),
    _program(
        "请写一段 Python 代码：给定整数列表，返回第二大的不同数值，没有就返回 None。",
        "def second_largest(numbers):\n    distinct = sorted(set(numbers))\n"
        "    return distinct[-2] if len(distinct) >= 2 else None",
    ),
    _program(
        "编写 Python 函数 is_palindrome，忽略空格和大小写，判断一句话正读反读是否相同。",
        "def is_palindrome(text):\n    letters = [char.lower() for char in text if not char.isspace()]\n"
        "    return letters == letters[::-1]",
    ),
    _program(
        "我想把嵌套任意层的列表摊平成一层，用 Python 的生成器怎么实现？",
        "def flatten(nested):\n    for item in nested:\n        if isinstance(item, list):\n"
        "            yield from flatten(item)\n        else:\n            yield item",
    ),
    _program(
        "实现二分查找：在升序列表中找目标值的下标，找不到返回 -1，语言用 Python。",
        "def binary_search(items, target):\n    low, high = 0, len(items) - 1\n    while low <= high:\n"
        "        middle = (low + high) // 2\n        if items[middle] == target:\n            return middle\n"
        "        if items[middle] < target:\n            low = middle + 1\n        else:\n"
        "            high = middle - 1\n    return -1",
    ),
    _program(
        "给出一个 Python 函数，把秒数换算成“时:分:秒”的形式，分和秒各占两位。",
        "def clock(seconds):\n    minutes, seconds = divmod(seconds, 60)\n    hours, minutes = divmod(minutes, 60)\n"
        '    return f"{hours}:{minutes:02}:{seconds:02}"',
    ),
    _program(
        "不用内置的 gcd，用辗转相除法求两个正整数的最大公约数，写出 Python 程序。",
        "def greatest_divisor(a, b):\n    while b:\n        a, b = b, a % b\n    return a",
    ),
    _program(
        "怎样用 Python 把两个已经排好序的列表合并成一个有序列表？不要调用 sorted。",
        "def merge(left, right):\n    merged = []\n    i = j = 0\n    while i < len(left) and j < len(right):\n"
        "        if left[i] <= right[j]:\n            merged.append(left[i])\n            i += 1\n        else:\n"
        "            merged.append(right[j])\n            j += 1\n    return merged + left[i:] + right[j:]",
    ),
)
