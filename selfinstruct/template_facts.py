"""Tasks whose answers are computed: arithmetic, calendar, numbers, short programs.

In: a seeded `random.Random`. Out: drafts that are right by construction. Nothing here reads a text. Price: 20 µs each.
"""

import calendar
import datetime
import math
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
    paid = (total // 50 + 1) * 50
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
    one, other = (Fraction(rng.randint(1, 8), rng.choice((9, 11, 13, 16))) for _ in range(2))
    sign, result = ("+", one + other) if rng.random() < 0.5 else ("×", one * other)
    return f"计算 {one} {sign} {other}，结果写成最简分数。", f"{one} {sign} {other} = {result}"


def _rectangle(rng: Random) -> Fact:
    long, wide = rng.randint(8, 40), rng.randint(3, 20)
    edge = 2 * (long + wide)
    return (
        f"菜园是长方形，长 {long} 米，宽 {wide} 米。围一圈篱笆要多长？菜园的面积是多少？",
        f"篱笆：2 × ({long} + {wide}) = {edge} 米。\n面积：{long} × {wide} = {long * wide} 平方米。",
    )


def _expression(rng: Random) -> Fact:
    """Products, a quotient without remainder, sums: worked out in the order of the operations."""
    a, b = rng.randint(12, 99), rng.randint(3, 49)
    divisor, quotient = rng.randint(3, 19), rng.randint(6, 60)
    more, less = rng.randint(20, 900), rng.randint(1, 150)
    product, dividend = a * b, divisor * quotient
    whole = product + dividend // divisor + more - less
    shown = f"{a} × {b} + {dividend} ÷ {divisor} + {more} − {less}"
    return (
        rng.choice((f"计算：{shown}", f"{shown} 等于多少？写出步骤。", f"这道算式怎么算：{shown}")),
        f"先算乘除：{a} × {b} = {product}，{dividend} ÷ {divisor} = {quotient}。\n"
        f"再算加减：{product} + {quotient} + {more} − {less} = {whole}。",
    )


def _sorted_numbers(rng: Random) -> Fact:
    numbers = rng.sample(range(-90, 400), rng.randint(6, 8))
    listed, ordered = "、".join(map(str, numbers)), sorted(numbers)
    middle = len(ordered) // 2
    median = Fraction(ordered[middle] + ordered[-1 - middle], 2)
    shown = str(median) if median.denominator == 1 else f"{float(median):.1f}"
    return (
        rng.choice((f"把 {listed} 从小到大排列，再求中位数。", f"一组数据：{listed}。它的中位数和极差各是多少？")),
        f"从小到大：{'、'.join(map(str, ordered))}。\n中位数：{shown}。\n极差：{ordered[-1] - ordered[0]}。",
    )


def _common_divisor(rng: Random) -> Fact:
    base = rng.randint(2, 30)
    one, other, third = (base * factor for factor in rng.sample(range(2, 40), 3))
    found = math.gcd(one, other, third)
    return (
        rng.choice((f"求 {one}、{other}、{third} 的最大公约数。", f"{one}、{other} 和 {third} 最大的公因数是几？")),
        f"{one} = {found} × {one // found}，{other} = {found} × {other // found}，"
        f"{third} = {found} × {third // found}，而三个商没有大于 1 的公因数，所以最大公约数是 {found}。",
    )


def _leap_years(rng: Random) -> Fact:
    years = [rng.randint(1601, 2399) for _ in range(4)] + [rng.randint(17, 23) * 100, 4 * rng.randint(401, 599)]
    rng.shuffle(years)
    found = [str(year) for year in years if calendar.isleap(year)]
    return (
        rng.choice(("{}，哪些是闰年？", "从 {} 里挑出闰年。")).format("、".join(map(str, years))),
        f"闰年是 {'、'.join(found)}。能被 4 整除而不能被 100 整除的年份，或能被 400 整除的年份，才是闰年。",
    )


def _earliest(rng: Random) -> Fact:
    days = [datetime.date(rng.randint(1950, 2049), rng.randint(1, 12), rng.randint(1, 28)) for _ in range(4)]
    listed = "、".join(f"{day.year}-{day.month:02}-{day.day:02}" for day in days)
    first, last = min(days), max(days)
    return (
        rng.choice((f"{listed}，最早和最晚的日期相隔几天？", f"这些日期里头尾差多少天：{listed}？")),
        f"最早是 {first:%Y-%m-%d}，最晚是 {last:%Y-%m-%d}，相隔 {(last - first).days} 天。",
    )


def _price_list(rng: Random) -> Fact:
    goods = rng.sample(_GOODS, 4)
    prices = rng.sample(range(2, 60), len(goods))
    said = "、".join(f"{good} {price} 元" for (good, _), price in zip(goods, prices, strict=True))
    rows = "\n".join(f'    "{good}": {price},' for (good, _), price in zip(goods, prices, strict=True))
    task, line, result = rng.choice(
        (
            ("求总价", "print(sum(prices.values()))", str(sum(prices))),
            ("找出最贵的", "print(max(prices, key=prices.get))", goods[prices.index(max(prices))][0]),
            ("按价格从低到高列出", "print(sorted(prices, key=prices.get))", ""),
        )
    )
    ordered = [good for price, good in sorted(zip(prices, [good for good, _ in goods], strict=True), key=_first)]
    shown = result or "[" + ", ".join(f"'{good}'" for good in ordered) + "]"
    return (
        rng.choice((f"用 Python 字典存：{said}，{task}。", f"{said}，写段 Python 代码{task}。")),
        f"```python\nprices = {{\n{rows}\n}}\n{line}\n```\n运行结果：{shown}",
    )


def _first(pair: tuple[int, str]) -> int:
    return pair[0]


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


MATH: Final[tuple[Callable[[Random], Fact], ...]] = (
    *(_expression, _shopping, _sorted_numbers, _road, _common_divisor, _tank),
    *(_expression, _mean, _sorted_numbers, _fraction, _rectangle, _divisors),
)
OPEN_QA: Final[tuple[Callable[[Random], Fact], ...]] = (
    *(_leap_years, _weekday, _earliest, _days_between, _leap_years, _leap, _earliest, _binary, _numeral),
)
CODE: Final[tuple[Callable[[Random], Fact], ...]] = (
    _price_list,
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
