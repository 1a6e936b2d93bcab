"""The typer app that the files of commands register with, and nothing else, so that none of them imports another."""

from runkit import console, options

app = console.app(
    "corpus",
    "From raw dumps to clean Chinese documents.",
    options.begin_with(
        "corpus clean crawl/*.warc.gz --out runs/first",
        "corpus show runs/first --rejected",
    ),
)


@app.callback()
def _corpus() -> None:
    pass
