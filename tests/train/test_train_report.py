"""The page about a training run: its figures by arithmetic, its samples as they were, its size within bounds."""

import math
import time
from pathlib import Path
from typing import Any

import pytest
from lxml import html as parser

from runkit.files import write_json, write_text
from train.train_report import ALL_CHARACTERS, MOST_SAMPLES, SAMPLE_CHARACTERS, report, tokens_per_second
from train.train_report_text import WORDS

SUMMARY = {"parameters": 2_500_000, "steps": 4, "tokens": 4_000, "loss": 2.0, "peak_share": 0.4125 / 2000}


def row(step: int, **more: Any) -> dict[str, Any]:
    known = {"step": step, "loss": 6.0 - step, "lr": 1e-3, "grad_norm": 1.5, "tokens": 1_000 * step, "seconds": 0.5}
    return {**known, **more}


def measured(step: int, **losses: float) -> dict[str, Any]:
    return row(step, held_out=losses, held_out_loss=sum(losses.values()) / len(losses))


def tree_of(run: Path, rows: list[dict[str, Any]], summary: dict[str, Any], lang: str = "en") -> Any:
    return parser.document_fromstring(report(run, rows, summary, lang).encode())


def cards(tree: Any) -> dict[str, tuple[str, str]]:
    found = tree.xpath("//dl[@class='figures']/div")
    return {card[0].text: (card[1][0].text, card[1][1].text or "") for card in found}


def test_both_languages_have_all_words() -> None:
    for key, english in WORDS["en"].items():
        places = [{part.split("}")[0] for part in words.split("{")[1:]} for words in (english, WORDS["zh"][key])]
        assert places[0] == places[1], key
    assert WORDS["zh"].keys() == WORDS["en"].keys()


def test_figures_by_arithmetic(tmp_path: Path) -> None:
    rows = [row(1), measured(2, wiki=3.0, web=5.0), row(3, seconds=0.25), measured(4, wiki=2.5, web=3.5)]
    found = cards(tree_of(tmp_path, rows, SUMMARY))
    assert found["Parameters"] == ("2.5 M", "2,500,000")
    assert found["Tokens"] == ("4,000", "0.0016 for each parameter")
    assert found["Loss"] == ("3.5000", "median of the last 4 steps")  # of 5, 4, 3 and 2
    assert found["Held-out loss"] == ("3.0000", "step 4")
    assert found["Perplexity"][0] == f"{math.e**3:.2f}"
    assert found["Tokens a second"][0] == "2,000"  # of 2,000, 2,000, 4,000 and 2,000
    assert found["MFU"][0] == "41.2 %" and found["Time"] == ("0:00:02", "for 4 steps, all starts together")


def test_sources_from_first_to_last(tmp_path: Path) -> None:
    rows = [measured(1, wiki=3.0, web=5.0), row(2), measured(3, wiki=2.5, web=5.25, late=1.0)]
    table = tree_of(tmp_path, rows, SUMMARY).xpath("//section[@id='sources']//tr")
    assert [[cell.text_content() for cell in line] for line in table] == [
        ["Source", "Loss at step 1", "Loss at step 3", "Change", "Perplexity"],
        ["wiki", "3.0000", "2.5000", "−0.5000", f"{math.exp(2.5):.2f}"],
        ["web", "5.0000", "5.2500", "+0.2500", f"{math.exp(5.25):.2f}"],
        ["late", "–", "1.0000", "–", f"{math.e:.2f}"],
        ["All", "4.0000", "2.9167", "−1.0833", f"{math.exp(8.75 / 3):.2f}"],
    ]


def test_rates_are_not_guessed_where_lines_are_missing() -> None:
    assert tokens_per_second([row(1), row(2), row(5), row(6, seconds=0.1)]) == [2_000, 2_000, None, 10_000]
    assert tokens_per_second([row(7), row(8)]) == [None, 2_000]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_one_step_or_none(tmp_path: Path, lang: str) -> None:
    bare = row(1)
    del bare["grad_norm"]
    tree = tree_of(tmp_path, [bare], {}, lang)
    words = WORDS[lang]
    assert set(cards(tree)) == {words[key] for key in ("tokens", "loss", "rate", "time")}
    titles = [title.text for title in tree.xpath("//figcaption/b")]
    assert titles == [words[key] for key in ("loss", "lr", "throughput")]
    assert words["no_held_out"] in tree.text_content() and not tree.xpath("//section[@id='samples']")
    assert words["nothing"] in tree_of(tmp_path, [], {}, lang).text_content()


def test_losses_that_are_no_numbers(tmp_path: Path) -> None:
    """JSON has no NaN, so the metrics hold null for it."""
    rows = [row(1, loss=None), measured(2, wiki=3.0, web=4.0), row(3, held_out={"wiki": None}, held_out_loss=None)]
    found = cards(tree_of(tmp_path, rows, SUMMARY))
    assert found["Held-out loss"] == ("3.5000", "step 2") and found["Loss"][1] == "median of the last 2 steps"
    assert cards(tree_of(tmp_path, [measured(1, a=900.0)], {}))["Perplexity"][0] == "e^900"


DATA = {
    "documents": 12,
    "sources": ["书", "wiki"],
    "rows": 40,
    "seq_len": 8,
    "held_out_rows": 3,
    "ids": 300,
    "eval_rows": 64,
}


def test_on_what_and_by_which_means(tmp_path: Path) -> None:
    computing = {"device": "CPU of 2 cores", "processes": 2, "threads": 1, "dtype": "fp32", "compile": "off"}
    page = tree_of(tmp_path, [row(1)], {"data": DATA, "computing": computing})
    assert any(
        text == "12 documents of 书, wiki: 40 rows of 8 positions, 3 more held out to measure on; a vocabulary of 300. "
        "Computed in fp32 on 2 processes, each on CPU of 2 cores, threads: 1, without torch.compile."
        for text in page.xpath("//p/text()")
    )


def test_what_a_reader_must_know(tmp_path: Path) -> None:
    write_json(tmp_path / "usage.json", {"all_starts": {"starts": 3}})
    rows = [measured(1, a=3.0), measured(2, a=2.0), row(4, grad_norm=None), measured(5, a=2.5)]
    told = [
        item.text for item in tree_of(tmp_path, rows, {"warnings": ["One <b>"]}).xpath("//section[@id='notices']//li")
    ]
    assert told[:2] == ["One <b>", "The run was started 3 times."]
    assert told[2].endswith("lowered: 1.") and told[3].endswith("no line: 1.")
    assert told[4] == "Held-out loss was lowest at step 2, with 2.0000; it has risen by 0.5000 since."
    for data, why in (({"eval_rows": 0, "held_out_rows": 0}, "eval_rows is 0"), ({"held_out_rows": 0}, "No text was")):
        summary = {"data": {**DATA, **data}, "steps_in_all": 9}
        told = [item.text for item in tree_of(tmp_path, [row(1)], summary).xpath("//section[@id='notices']//li")]
        assert told[0] == "The training is at step 1 of 9; the same command goes on." and told[-1].startswith(why)
    write_text(tmp_path / "usage.json", "{")
    good = tree_of(tmp_path, [measured(1, a=3.0)], {}).xpath("//section[@id='notices']")[0]
    assert "Nothing out of the ordinary." in good.text_content()


def test_samples_newest_first_as_they_were_written(tmp_path: Path) -> None:
    write_text(tmp_path / "resolved.yaml", "steps: 4\nname: <script>\n")
    rows = [row(step, samples=[{"prompt": "今天<i>", "text": f"</p>\n{step}"}]) for step in (1, 2, 3)]
    tree = tree_of(tmp_path, rows, {})
    (samples,) = tree.xpath("//section[@id='samples']")
    assert [text.text_content() for text in samples.xpath(".//p[contains(@class, 'written')]")] == [
        f"今天<i></p>\n{step}" for step in (3, 2, 1)
    ]
    assert [fold.text for fold in samples.xpath(".//details/summary")] == ["Earlier: step 2", "Earlier: step 1"]
    assert tree.xpath("string(//section[@id='config']//pre)") == "steps: 4\nname: <script>\n"
    assert not tree.xpath("//script | //main//i")


def test_many_samples_are_thinned(tmp_path: Path) -> None:
    """Spread over the run, with its last and its first; long ones are cut, and fewer are shown."""
    for length, shown in ((50, MOST_SAMPLES), (9_000, ALL_CHARACTERS // (4 * SAMPLE_CHARACTERS + 4))):
        rows = [row(step, samples=[{"prompt": "今", "text": "天" * length}] * 4) for step in range(1, 201)]
        (section,) = tree_of(tmp_path, rows, {}).xpath("//section[@id='samples']")
        assert len(section.xpath("./details")) == shown - 1 and f"{shown} of 200 measurements" in section.text_content()
        ends = [found.text for found in section.xpath("./h3 | ./details[last()]/summary")]
        assert ends == ["Step 200", "Earlier: step 1"]


def test_a_hundred_thousand_steps(tmp_path: Path) -> None:
    rows = [row(step, loss=3 + 1 / step + step % 7 / 100, seconds=0.5 + step % 11 / 100) for step in range(1, 100_001)]
    for step in range(500, 100_001, 500):
        rows[step - 1] |= {"held_out_loss": 3.0, "held_out": {f"source {number}": 3.0 + number for number in range(30)}}
        rows[step - 1]["samples"] = [{"prompt": "今天天气", "text": "很好" * 400}] * 4
    started = time.process_time()
    text = report(tmp_path, rows, SUMMARY, "zh")
    assert time.process_time() - started < 5  # 1.3 s on an idle core
    assert len(text.encode()) < 1_000_000
    assert "共 30 个来源，图中为最终损失最高的 12 个。" in text
