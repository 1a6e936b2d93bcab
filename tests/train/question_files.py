"""Four-choice questions in C-Eval's layout, made up for the tests."""

import csv
from pathlib import Path

HEADER = ["id", "question", "A", "B", "C", "D", "answer"]


def write(folder: Path, split: str, subject: str, rows: list[list[str]], header: list[str] = HEADER) -> Path:
    path = folder / split / f"{subject}_{split}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def question(number: int, answer: str, length: int = 1) -> list[str]:
    return [str(number), f"第{number}题：" + "水" * length, "甲", f"乙{number}", "丙", "丁" * length, answer]


def question_folder(place: Path) -> Path:
    """Two subjects, of which C-Eval knows one; a test split without answers."""
    for subject in ("high_school_physics", "journalism"):
        write(place, "dev", subject, [[*question(50 + number, "ABCDA"[number]), "说明"] for number in range(5)],
              [*HEADER, "explanation"])  # fmt: skip
        write(place, "val", subject, [question(number, "DCBA"[number % 4], 1 + number * 3 % 20) for number in range(9)])
    write(place, "test", "high_school_physics", [question(number, "")[:-1] for number in range(3)], HEADER[:-1])
    return place
