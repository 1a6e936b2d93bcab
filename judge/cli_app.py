"""The typer app that the files of commands register with, and nothing else, so that none of them imports another."""

from runkit import console

app = console.app("judge", "Which model answers better, by judges and by people.")
