"""How small a difference so many questions can show, and how many questions a wanted difference needs.

In: the spread of what was measured, 5 % and 80 % unless told otherwise. Out: an effect in the unit of the spread, or a
number of questions. A difference is planned for with the t test's exact power, a win rate with the normal one. Price:
under 1 ms.
"""

import math
from typing import Final

from scipy import special

from judge.stats import t_quantile, z_quantile

ALPHA: Final = 0.05
POWER: Final = 0.8
MOST_QUESTIONS: Final = 10**9


LEAST_IN_A_ROW: Final = math.ceil(1 - math.log2(ALPHA))  # 6: won by one side, below which a sign test sees nothing


def t_power(effect: float, n: int, alpha: float = ALPHA) -> float:
    """Power of the two-sided paired t test; effect is mean over sd of the differences.

    1 - F(t) + F(-t), F the noncentral t distribution of n - 1 degrees and noncentrality effect · sqrt(n) (Cohen 1988).
    """
    shift, t = effect * math.sqrt(n), t_quantile(n - 1, 1.0 - alpha)
    return 1.0 - float(special.nctdtr(n - 1, shift, t)) + float(special.nctdtr(n - 1, shift, -t))


def detectable_difference(n: int, sd: float, alpha: float = ALPHA, power: float = POWER) -> float | None:
    """The least mean difference that the t test finds in 80 % of experiments of n questions; None for n < 2."""
    if n < 2:
        return None
    low, high = 0.0, 1.0
    while t_power(high, n, alpha) < power:
        high *= 2.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if t_power(middle, n, alpha) < power else (low, middle)
    return (low + high) / 2.0 * sd


def questions_for_difference(difference: float, sd: float, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """The least n of which the t test finds this mean difference with 80 % power; None for a difference of 0."""
    effect = abs(difference) / sd if sd > 0 else math.inf
    if effect == math.inf:
        return 2
    z = z_quantile(1.0 - alpha) + float(special.ndtri(power))
    if effect == 0 or (z / effect) ** 2 > MOST_QUESTIONS:
        return None
    n = max(2, math.floor((z / effect) ** 2))  # the normal answer, which is never above
    while t_power(effect, n, alpha) < power:
        n += 1
    while n > 2 and t_power(effect, n - 1, alpha) >= power:
        n -= 1
    return n


def detectable_win_rate(n: int, tie_share: float = 0.0, alpha: float = ALPHA, power: float = POWER) -> float | None:
    """The least distance of a win rate from one half that n questions show; None where even all wins would not.

    x with x · sqrt(n) = z(alpha / 2) · s0 + z(power) · sqrt(s0² - x²), s0² = (1 - tie_share) / 4 the variance of a
    question's result under equality: the score test's size (Fleiss, Levin and Paik 2003, section 4).
    """
    a, b = z_quantile(1.0 - alpha), float(special.ndtri(power))
    s0 = math.sqrt(1.0 - tie_share) / 2.0
    if n + b * b - a * a < 0:
        return None
    x = s0 * (a * math.sqrt(n) + b * math.sqrt(n + b * b - a * a)) / (n + b * b)
    return x if s0 > 0 and x <= (1.0 - tie_share) / 2.0 else None


def questions_for_win_rate(
    win_rate: float, tie_share: float = 0.0, alpha: float = ALPHA, power: float = POWER
) -> int | None:
    """The least n that shows this win rate to differ from one half with 80 % power; None for one half itself.

    tie_share is cut down to what such a win rate leaves room for.
    """
    x = abs(win_rate - 0.5)
    a, b = z_quantile(1.0 - alpha), float(special.ndtri(power))
    s0 = math.sqrt(max(1.0 - tie_share, 2.0 * x)) / 2.0
    root = a * s0 + b * math.sqrt(max(0.0, s0 * s0 - x * x))
    if x == 0 or (root / x) ** 2 > MOST_QUESTIONS:
        return None
    return max(2, math.ceil((root / x) ** 2 - 1e-9))
