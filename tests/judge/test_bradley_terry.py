"""Bradley–Terry: statsmodels and evalica agree, and what has no answer says so."""

import evalica
import numpy as np
import pytest
import statsmodels.api as sm

from judge import bradley_terry
from judge.logistic import fit as fit_logistic
from judge.logistic import separation

K = 5
TRUTH = np.linspace(-1, 1, K)


def verdicts(seed: int, n: int = 3000, order: float = 0.4) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first = rng.integers(0, K, n)
    second = (first + rng.integers(1, K, n)) % K
    outcome = (rng.random(n) < 1 / (1 + np.exp(-(TRUTH[first] - TRUTH[second] + order)))).astype(float)
    outcome[rng.random(n) < 0.15] = 0.5
    return first, second, outcome, rng.integers(0, n // 10, n)


@pytest.mark.parametrize("order_term", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_statsmodels_agrees(seed: int, order_term: bool) -> None:
    first, second, outcome, question = verdicts(seed)
    design = np.zeros((len(first), K))
    design[np.arange(len(first)), first] += 1
    design[np.arange(len(first)), second] -= 1
    design = np.column_stack([design[:, 1:], np.ones(len(first))]) if order_term else design[:, 1:]
    model = sm.GLM(outcome, design, family=sm.families.Binomial())
    theirs = model.fit(cov_type="cluster", cov_kwds={"groups": question, "use_correction": False}, tol=1e-12)
    ours = bradley_terry.fit(first, second, outcome, K, order_term, question)
    against_first = ours.strengths - ours.strengths[0]
    assert against_first[1:] == pytest.approx(theirs.params[: K - 1], abs=1e-6)
    groups = len(np.unique(question))
    widen = np.sqrt(groups / (groups - 1))
    spread = [np.sqrt(c @ ours.covariance @ c) for c in np.eye(K + 1)[1:K] - np.eye(K + 1)[0]]
    assert spread == pytest.approx(theirs.bse[: K - 1] * widen, abs=1e-6)
    if order_term:
        assert ours.order == pytest.approx(theirs.params[-1], abs=1e-6)
        assert np.sqrt(ours.covariance[-1, -1]) == pytest.approx(theirs.bse[-1] * widen, abs=1e-6)
    else:
        assert ours.order is None and ours.order_effect() is None


def test_evalica_agrees() -> None:
    first, second, outcome, _ = verdicts(1)
    names = {1.0: evalica.Winner.X, 0.0: evalica.Winner.Y, 0.5: evalica.Winner.Draw}
    winners = [names[x] for x in outcome]
    found = evalica.bradley_terry(first.tolist(), second.tolist(), winners, tolerance=1e-13, limit=100_000)
    theirs = np.log(found.scores.sort_index().to_numpy())
    ours = bradley_terry.fit(first, second, outcome, K, order_term=False)
    assert ours.strengths == pytest.approx(theirs - theirs.mean(), abs=1e-6)


def test_intervals_differences_and_probabilities() -> None:
    first, second, outcome, question = verdicts(2)
    found = bradley_terry.fit(first, second, outcome, K, clusters=question)
    gap, back = found.difference(3, 1), found.difference(1, 3)
    assert gap.low < gap.value < gap.high and (back.value, back.low) == (-gap.value, -gap.high)
    chance = found.win_probability(3, 1)
    assert chance.value == pytest.approx(1 / (1 + np.exp(-gap.value)))
    assert chance.low == pytest.approx(1 / (1 + np.exp(-gap.low)))
    assert found.win_probability(1, 3).value == 1.0 - chance.value
    assert abs(found.strengths.sum()) < 1e-12 and found.strength(0).value == found.strengths[0]
    assert not found.separated and not gap.separated
    drawn = bradley_terry.bootstrap(first, second, outcome, K, question, rounds=600)
    assert (drawn.difference_low[3, 1], drawn.difference_high[3, 1]) == pytest.approx((gap.low, gap.high), abs=0.06)
    assert drawn.difference_low[1, 3] == -drawn.difference_high[3, 1]
    assert (drawn.low < found.strengths).all() and (found.strengths < drawn.high).all()


def test_names_do_not_matter() -> None:
    first, second, outcome, question = verdicts(3)
    new = np.array([3, 0, 4, 1, 2])
    one = bradley_terry.fit(first, second, outcome, K, clusters=question)
    other = bradley_terry.fit(new[first], new[second], outcome, K, clusters=question)
    assert other.strengths[new] == pytest.approx(one.strengths, abs=1e-9)
    assert other.order == pytest.approx(one.order, abs=1e-9)


def star(lost: int, even: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """System 1 loses every verdict against 0, system 2 half of them; each pair in both orders."""
    first = np.array([0, 1] * lost + [0, 2] * even)
    second = np.array([1, 0] * lost + [2, 0] * even)
    outcome = np.array([1.0, 0.0] * lost + [1.0, 0.0, 0.0, 1.0] * (even // 2))
    return first, second, outcome, np.repeat(np.arange(lost + even), 2)


def test_a_system_that_lost_everything_has_a_finite_strength_and_says_so() -> None:
    first, second, outcome, question = star(40, 40)
    found = bradley_terry.fit(first, second, outcome, 3, clusters=question)
    assert found.separated
    lost, even = found.difference(0, 1), found.difference(0, 2)
    assert lost.separated and not even.separated
    assert 1 < lost.low < lost.value < lost.high < 15
    assert even.value == pytest.approx(0.0, abs=1e-9) and even.high - even.low > 0.1
    assert found.win_probability(0, 1).separated and found.win_probability(0, 1).high < 1.0
    plain = bradley_terry.fit(first, second, outcome, 3, order_term=False).difference(0, 1)
    assert plain.value == pytest.approx(np.log(80.5 / 0.5), abs=1e-6)  # half a win and half a loss more
    drawn = bradley_terry.bootstrap(first, second, outcome, 3, question, rounds=100)
    assert np.isnan(drawn.difference_low[0, 1]) and not np.isnan(drawn.difference_low[0, 2])


def test_systems_that_nothing_joins_have_no_difference() -> None:
    first, second = np.array([0, 1, 0, 1, 2, 3, 2, 3]), np.array([1, 0, 1, 0, 3, 2, 3, 2])
    found = bradley_terry.fit(first, second, np.array([1.0, 0, 0, 1, 1, 1, 0, 0.5]), 5)
    assert list(found.components) == [0, 0, 2, 2, 4]
    assert found.difference(0, 2) is None and found.win_probability(1, 3) is None
    assert found.difference(0, 1) is not None and found.difference(2, 3) is not None
    assert np.isnan(found.strengths[4]) and found.strength(4) is None
    assert np.isfinite(found.covariance).all()


def test_an_order_that_was_never_varied_has_no_term() -> None:
    first, second = np.array([0] * 10 + [0] * 10), np.array([1] * 10 + [2] * 10)
    outcome = np.array([1.0] * 7 + [0.0] * 3 + [1.0] * 4 + [0.0] * 6)
    found = bradley_terry.fit(first, second, outcome, 3)
    assert found.order is None
    assert found.difference(0, 1).value == pytest.approx(np.log(7 / 3), abs=1e-8)
    drawn = bradley_terry.bootstrap(first, second, outcome, 3, np.arange(20), rounds=50)
    assert np.isfinite(drawn.difference_low[0, 1])


def test_a_judge_that_sees_places_only_is_separated_in_the_order_alone() -> None:
    first, second = np.array([0, 1, 0, 2, 1, 2] * 20), np.array([1, 0, 2, 0, 2, 1] * 20)
    found = bradley_terry.fit(first, second, np.ones(120), 3, clusters=np.repeat(np.arange(20), 6))
    assert found.order_effect().separated and found.order_effect().low > 1
    assert found.strengths == pytest.approx(np.zeros(3), abs=1e-9)
    assert not found.difference(0, 1).separated


def test_ties_alone_are_not_certainty() -> None:
    first, second, _, question = star(40, 40)
    found = bradley_terry.fit(first, second, np.full(160, 0.5), 3, clusters=question)
    gap = found.difference(0, 1)
    assert gap.value == pytest.approx(0.0, abs=1e-12) and gap.high - gap.low > 0.1


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="two systems"):
        bradley_terry.fit(np.array([0]), np.array([0]), np.array([1.0]), 2)
    with pytest.raises(ValueError, match="needs a verdict"):
        bradley_terry.fit(np.array([], dtype=int), np.array([], dtype=int), np.array([]), 2)


def test_near_separation_is_not_called_separation() -> None:
    """One win in 100,000 has a finite maximum, however flat."""
    design, balance = np.ones((2, 1)), np.array([1.0, -1.0])
    found = fit_logistic(design, balance, np.array([99_999.0, 1.0]))
    assert found.direction is None
    assert found.coefficients[0] == pytest.approx(np.log(99_999), abs=1e-6)
    assert separation(design, balance) is None
    assert separation(design, np.array([1.0, 1.0])) is not None
    assert separation(design, np.array([1.0, 0.3])) is None


def test_the_penalised_score_is_zero_under_any_separation() -> None:
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(60):
        n, p = int(rng.integers(4, 25)), int(rng.integers(1, 4))
        design = np.column_stack([np.ones(n), rng.choice([-1.0, 0.0, 1.0], (n, p))])[:, : p + 1]
        if np.linalg.matrix_rank(design) <= p:
            continue
        balance, weight = np.sign(design @ rng.normal(size=p + 1) + 1e-3), rng.integers(1, 30, n).astype(float)
        fitted = fit_logistic(design, balance, weight)
        chance = 1 / (1 + np.exp(-(design @ fitted.coefficients)))
        hat = weight * chance * (1 - chance) * ((design @ fitted.covariance) * design).sum(axis=1)
        assert fitted.direction is not None and np.isfinite(fitted.covariance).all()
        assert design.T @ (fitted.residuals + hat * (0.5 - chance)) == pytest.approx(np.zeros(p + 1), abs=1e-6)
        found += 1
    assert found > 40
