"""The content policy of a page that brings its own script and style: these run, named by their hash, and nothing else.

In: the bytes of a page. Out: the policy's header. Price: a page cannot have style attributes or inline handlers.
"""

import base64
import hashlib
import re
from typing import Final

_INLINE: Final = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)


def static_policy(page: bytes) -> str:
    """Scripts and styles of `page` alone; requests to where it came from; nothing can frame it or be sent by a form."""
    found: dict[str, list[str]] = {"script": [], "style": []}
    for kind, text in _INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        found[kind.decode()].append(f"'sha256-{digest}'")
    scripts, styles = (" ".join(found[kind]) or "'none'" for kind in ("script", "style"))
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
