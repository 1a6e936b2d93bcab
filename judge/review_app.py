"""The paths of `judge review`: the page, what it asks for, and the four things that it may write.

In: a `Session`. Out: a guarded app. Only POST writes, and a verdict is on the disk before its reply leaves. One thread
does everything that touches the file, so that there is one writer and the loop never waits for a disk. Price: verdicts
of several people wait for each other, 5 ms each.
"""

import asyncio
import math
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from judge.review_session import NotAllowed, Session, checked_event
from judge.review_store import CHOICES, Event, PersonsChoice, Taken
from runkit.errors import EnvironmentFault, InputError, UsageError
from runkit.page import Access, Guard, HttpError, Limits, guarded, json_response, page_response
from runkit.page_policy import static_policy

PAGE: Final = Path(__file__).parent / "review.html"
LIMITS: Final = Limits(body_bytes=100_000)
NOTE_CHARS: Final = 4000
LOWEST: Final = 1
HIGHEST: Final = 10
_UID: Final = re.compile(r"[0-9A-Za-z-]{16,64}")
_LANGUAGE: Final = re.compile(rb'<html lang="[a-z]*">')
T = TypeVar("T")


def review_app(session: Session, access: Access, lang: str = "", limits: Limits = LIMITS, log: bool = False) -> Guard:
    """The app of one run under review. `lang`: of the page when it opens; empty: the browser's."""
    page = _LANGUAGE.sub(f'<html lang="{lang}">'.encode(), PAGE.read_bytes(), count=1)
    policy = static_policy(page)
    beside = ThreadPoolExecutor(1, "review")

    async def here(work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(beside, work)
        except NotAllowed:
            raise HttpError(403, "Nobody of this name reviews here.", "reviewer", "not_a_reviewer") from None
        except UsageError as error:
            raise HttpError(400, str(error)) from None
        except Taken:
            raise HttpError(409, "This item has a verdict already.", code="taken") from None
        except (EnvironmentFault, InputError):
            raise HttpError(503, "The verdict could not be written to the disk; nothing was kept.") from None

    async def shown_page(request: Request) -> Response:
        return page_response(page, policy)

    async def health(request: Request) -> Response:
        return json_response({"status": "ok"})

    async def rules(request: Request) -> Response:
        found = session.principles.get(request.query_params.get("lang", ""), session.principles["en"])
        return json_response({"version": found.version, "sha256": found.sha256, "text": found.text})

    async def about(request: Request) -> Response:
        return json_response({"reviewers": session.settings.reviewers, "items": session.chosen})

    async def following(request: Request) -> Response:
        name, skipped = request.query_params.get("reviewer", ""), request.query_params.get("skipped") == "1"
        return json_response(await here(lambda: session.state(name, skipped)))

    async def join(request: Request) -> Response:
        name = _text(await _fields(request, {"reviewer"}), "reviewer")
        return json_response(await here(lambda: session.join(name)))

    async def verdict(request: Request) -> Response:
        fields = await _fields(request, _VERDICT_FIELDS)
        name, event = _text(fields, "reviewer"), _event(session, fields)
        return json_response(await here(lambda: session.verdict(name, event, fields.get("skipped") is True)))

    async def undo(request: Request) -> Response:
        fields = await _fields(request, {"reviewer", "uid"})
        name, uid = _text(fields, "reviewer"), _uid(fields)
        return json_response(await here(lambda: session.undo(name, uid)))

    routes = [
        Route("/", shown_page),
        Route("/health", health),
        Route("/api/principles", rules),
        Route("/api/about", about),
        Route("/api/next", following),
        Route("/api/join", join, methods=["POST"]),
        Route("/api/verdict", verdict, methods=["POST"]),
        Route("/api/undo", undo, methods=["POST"]),
    ]
    return guarded(routes, access, limits, log)


_VERDICT_FIELDS: Final = {
    *("reviewer", "uid", "slot", "choice", "score_left", "score_right", "note", "lang", "seconds", "skipped"),
}


async def _fields(request: Request, known: set[str]) -> dict[str, Any]:
    """The object in the body. HttpError 400: it is none, or holds what nobody asked for."""
    try:
        fields = orjson.loads(await request.body())
    except orjson.JSONDecodeError:
        raise HttpError(400, "The body is no JSON.") from None
    if not isinstance(fields, dict):
        raise HttpError(400, "The body is no JSON object.")
    for name in fields:
        if name not in known:
            raise HttpError(400, f"Nobody asked for the field {name[:60]}.", name[:60])
    return fields


def _event(session: Session, fields: dict[str, Any]) -> Event:
    """`choice` null is a skip."""
    choice, slot, lang = fields.get("choice"), fields.get("slot"), fields.get("lang")
    if choice is not None and choice not in CHOICES:
        raise HttpError(400, f"choice is one of {', '.join(CHOICES)}, or null to skip.", "choice")
    if type(slot) is not int or not 0 < slot < 2**31:
        raise HttpError(400, "slot is the number of an item.", "slot")
    if not isinstance(lang, str) or lang not in session.principles:
        raise HttpError(400, "lang is en or zh, the language of the principles that were shown.", "lang")
    note = fields.get("note", "")
    if not isinstance(note, str) or len(note) > NOTE_CHARS:
        raise HttpError(400, f"note takes up to {NOTE_CHARS:,} letters.", "note")
    rules, is_skip = session.principles[lang], choice is None
    event = Event(
        uid=_uid(fields),
        slot=slot,
        kind="skip" if is_skip else "verdict",
        choice=None if is_skip else cast(PersonsChoice, choice),
        score_left=None if is_skip else _score(fields, "score_left"),
        score_right=None if is_skip else _score(fields, "score_right"),
        note=note.strip(),
        principles_version=rules.version,
        principles_sha256=rules.sha256,
        lang=lang,
        seconds=_seconds(fields.get("seconds")),
    )
    try:
        return checked_event(event)
    except UsageError as error:
        raise HttpError(400, str(error), "choice", "contrary_scores") from None


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise HttpError(400, f"{name} is missing.", name)
    return value


def _uid(fields: dict[str, Any]) -> str:
    uid = fields.get("uid")
    if not isinstance(uid, str) or not _UID.fullmatch(uid):
        raise HttpError(400, "uid takes 16 to 64 letters and digits, new for each verdict.", "uid")
    return uid


def _score(fields: dict[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if type(value) is not int or not LOWEST <= value <= HIGHEST:
        raise HttpError(400, f"{name} goes from {LOWEST} to {HIGHEST}, or is null.", name)
    return float(value)


def _seconds(value: object) -> float | None:
    """What the page measured; anything odd counts as unknown."""
    if type(value) not in (int, float):
        return None
    seconds = float(cast(float, value))
    return round(seconds, 1) if math.isfinite(seconds) and 0 <= seconds <= 86_400 else None
