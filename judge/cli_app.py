"""The typer app that the files of commands register with, and nothing else, so that none of them imports another."""

from runkit import console, options

app = console.app(
    "judge",
    "Which model answers better, by judges and by people.",
    options.begin_with(
        "judge selftest --judge overlap",
        "judge compare runs/base runs/chat --questions examples/questions.jsonl --judge overlap --out runs/cmp",
    ),
)
