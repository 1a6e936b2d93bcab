"""What each command's inputs are to it, by the names that it gives them in its manifest.

In: a command and the name of an input. Out: a role and the name as the user knew it. Price: nothing to speak of. A
command that is not known has inputs of the role `other`.
"""

import re
from collections.abc import Sequence
from typing import Final

# Commands by what they write. documents/: rows with ids and URLs, kept apart from rejected ones.
READERS: Final = frozenset({"corpus clean", "corpus tune"})  # of raw dumps
DOCUMENTS: Final = READERS | {"corpus dedup", "corpus decontaminate", "corpus quality score"}
MODELS: Final = frozenset({"train pretrain", "train sft"})
TOKENS: Final = "train tokens"
INSTRUCTIONS: Final = frozenset({"selfinstruct generate", "selfinstruct dedup"})
JUDGES: Final = frozenset({"judge compare", "judge answer", "judge import", "judge selftest"})
# Made from the set of all documents that went in; no document can be told apart in what comes out.
MIXERS: Final = {
    "train tokenizer fit": "tokenizer",
    "train tokenizer extend": "tokenizer",
    "corpus quality fit": "quality_model",
    "corpus quality fit-perplexity": "ngram_model",
    "corpus stats": "figures",
}
TELLING: Final = frozenset({"documents", "shards", "instructions", "answers"})  # that may hold the text of a document
# (command, its inputs' names, what they are); the first that fits counts. `*` stands for any command.
_ROLES: Final = tuple(
    (re.compile(command), re.compile(name, re.DOTALL), role)
    for command, name, role in (
        ("corpus clean|corpus tune", r"run:(.*)", "documents"),
        ("corpus .*", r"models?: ?(.*)", "model"),
        ("corpus .*|train tokenizer extend", r"list: ?(.*)", "list"),
        ("corpus clean|corpus tune", r"(.*)", "dump"),
        ("corpus dedup", r"--against (.*)", "against"),
        ("corpus decontaminate", r"--against (.*)", "items"),
        ("corpus quality fit.*", r"(?:good|bad|terciles): (.*)", "documents"),
        ("train tokenizer extend", r"base: (.*)", "tokenizer"),
        ("train tokens", r"--tokenizer (.*)", "tokenizer"),
        ("corpus .*|train tokens|train tokenizer .*", r"(.*)", "documents"),
        ("train pretrain", r"(shards .*)", "shards"),
        ("train pretrain|train sft", r"(--from)", "model"),
        ("train sft", r"[^/]*/(?:\d+/)?(.*)", "instructions"),
        ("train eval mcq", r"model/(.*)", "model"),
        ("train eval mcq", r"(.*)", "questions"),
        ("selfinstruct generate", r"(seeds \d+)", "seeds"),
        ("selfinstruct generate", r"(topics)", "topics"),
        ("selfinstruct generate", r"(.*)", "documents"),
        ("selfinstruct dedup", r"(?:\d+/)?(.*)", "instructions"),
        ("judge .*", r"questions (?:\d+/)?(.*)", "questions"),
        ("judge .*", r"answers of (.*)", "answers"),
        ("judge import", r"(.*)", "verdicts"),
        (".*", r"(.*)", "other"),
    )
)


def role_of(command: str, name: str) -> tuple[str, str]:
    """What an input is to a command, and its name without what the command put before it."""
    for commands, names, role in _ROLES:
        if commands.fullmatch(command) and (found := names.fullmatch(name)) is not None:
            return role, found[1]
    return "other", name


def stage_of(command: str) -> str:
    """The program of a command."""
    return command.partition(" ")[0]


def in_order(names: Sequence[str]) -> list[str]:
    """Stages as data flow through them, unknown ones behind."""
    known = ["corpus", "selfinstruct", "train", "judge"]
    return sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name))
