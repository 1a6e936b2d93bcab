"""The runs that read a run or a file, and those that read them, and so on, whatever is in them.

In: links, and a run or a file. Out: nodes, each run once. Price: a file outside of all runs is hashed.
"""

from pathlib import Path

from corpus.runs_figures import figures_of
from corpus.runs_found import Run
from corpus.runs_links import Link, Links
from corpus.trace_tree import Node
from runkit.files import sha256_file


def reads_of(links: Links, run: Run | None, path: Path | None) -> list[Node]:
    """What was made from all of it."""
    told: set[Run] = set()

    def nodes(read: list[Link]) -> list[Node]:
        found = []
        for reader in dict.fromkeys(link.run for link in read):
            node = Node("run", reader.name, reader.name, reader.command, facts=dict(figures_of(reader)))
            if reader in told:
                node.note("told_above")
            else:
                told.add(reader)
                node.children = nodes(links.readers[reader])
            if not reader.finished:
                node.note("unfinished")
            found.append(node)
        return found

    if run is not None:
        return nodes(links.readers[run])
    mark = sha256_file(path) if path is not None else ""
    return nodes([link for one in links.order for link in links.of(one) if link.input.fingerprint == mark])
