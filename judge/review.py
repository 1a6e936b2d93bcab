"""`judge review`: a local page on which people compare answers without knowing whose they are.

In: a run of `judge compare`. Out: `review.sqlite` in it, served until a signal; with `--json` one object on stdout as
soon as the page answers. Neither the page nor the terminal names a system. Others are let in with a token from a file.
Price: all texts of the run in memory, and 8 MB for HTTP.
"""

import os
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from judge.records import VERDICTS
from judge.review_app import review_app
from judge.review_exchange import export_verdicts, import_verdicts
from judge.review_items import Item, items_if_any, read_items
from judge.review_session import Session, Settings, named_in_texts, seed_of
from judge.review_store import FILE, ReviewStore
from runkit.console import emit_json, say
from runkit.errors import InputError, TooManyFailures, UsageError
from runkit.page import Access, read_token
from runkit.page_server import PageServer, listen, url_of
from runkit.planned import keep_apart


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewCall:
    """The command line of `judge review`, parsed."""

    run: Path
    host: str = "127.0.0.1"
    port: int = 8700
    token_file: Path | None = None
    lang: str = ""
    items: int | None = None
    repeat: float = 0.1
    seed: int | None = None
    reviewers: tuple[str, ...] = ()
    export: Path | None = None
    take: Path | None = None
    open_page: bool = False
    as_json: bool = False
    quiet: bool = False
    verbose: int = 0


def review(call: ReviewCall) -> None:
    """Serve until a signal, or exchange verdicts with other machines."""
    if not call.run.is_dir():
        raise UsageError(f"{call.run} does not exist or is no folder; name a run of `judge compare`.")
    if call.export is not None and call.take is not None:
        raise UsageError("--export and --import are two calls; give one of them.")
    if call.export is not None:
        return _export(call, call.export)
    if call.take is not None:
        return _import(call, call.take)
    return _serve(call)


def _serve(call: ReviewCall) -> None:
    token = None if call.token_file is None else read_token(call.token_file)
    items = read_items(call.run)
    bound = listen(call.host, call.port, has_token=token is not None)
    try:
        with ReviewStore.open(call.run / FILE) as store:
            settings = Settings(
                count=call.items, repeat=call.repeat, seed=seed_of(store, call.seed), reviewers=call.reviewers
            )
            session = Session(items, store, settings)
            access = Access(token=token, open_paths=frozenset({"/", "/health"}))
            guard = review_app(session, access, call.lang, log=call.verbose > 0)
            server = PageServer(guard, bound)
            server.on_ready = lambda: _tell(call, session, items, url_of(bound))
            server.serve()
    finally:
        bound.close()


def _tell(call: ReviewCall, session: Session, items: list[Item], url: str) -> None:
    if call.as_json:
        emit_json({"url": url, "items": session.chosen, "pid": os.getpid()})
    if not call.quiet:
        place = "" if call.token_file is None else ", for who has the token"
        say(f"{session.chosen:,} of {len(items):,} pairs of answers to review{place}: open {url}/ ; Ctrl-C stops.")
        if named := named_in_texts(items):
            say(f"{named:,} answers say the name of a system in their text, which reviewers can read.")
    if call.open_page:
        webbrowser.open(url + "/")


def _export(call: ReviewCall, path: Path) -> None:
    keep_apart(path, [str(call.run)])
    with ReviewStore.open(call.run / FILE, create=False) as store:
        count = export_verdicts(store, path)
    if call.as_json:
        emit_json({"verdicts": count, "file": str(path)})
    if not call.quiet:
        say(f"{count:,} verdicts of people: {path}")


def _import(call: ReviewCall, path: Path) -> None:
    items = items_if_any(call.run)
    if not items and not (call.run / VERDICTS).is_file():
        raise InputError(f"{call.run} is no run of `judge compare` or `judge import`.")
    with ReviewStore.open(call.run / FILE) as store:
        found = import_verdicts(store, path, items)
    if call.as_json:
        emit_json(found.record())
    if not call.quiet:
        say(f"{found.taken:,} verdicts taken, {found.known:,} known already or older than ours.")
        for reason, count in sorted(found.refused.items()):
            say(f"  {count:>8,}  left out: {reason}")
    if found.refused and not found.taken and not found.known:
        raise TooManyFailures(f"{path} holds no verdict of people that fits {call.run}.")
