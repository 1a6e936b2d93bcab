"""The typer app that the files of commands register with, and nothing else, so that none of them imports another."""

from runkit import console

app = console.app("corpus", "From raw dumps to clean Chinese documents.")


@app.callback()
def _corpus() -> None:
    pass
