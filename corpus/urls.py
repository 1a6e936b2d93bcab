"""A URL as crawled → the key under which two addresses of one page are the same; and the parents of a host.

In: any string. Out: a normalised https URL, or "" for whatever is no http(s) URL; nothing raises. Merged:
http and https, a leading `www.`, default ports and documents, trailing slashes, order of parameters, percent
spellings, share and campaign parameters. Not merged: `m.` and other hosts, case of paths, unknown
parameters, fragments that are routes (`#!…`, `#/…`). A wrong split costs a second look by the text
duplicates later, a wrong merge costs a page, so what is not listed is kept. Price: about 10 µs a URL.
"""

import ipaddress
import re
from urllib.parse import quote

# Parameters that say how the reader came, never which page it is. Matched in lower case.
_TRACKING_NAMES = (
    # Google Ads and Analytics
    "gclid gclsrc dclid gbraid wbraid _ga _gl "
    # other advertisers' click ids: Meta, Microsoft, Twitter, Yandex, TikTok, LinkedIn, Instagram, Baidu
    "fbclid fb_action_ids fb_action_types fb_source fb_ref msclkid twclid yclid ysclid _openstat ttclid "
    "li_fat_id igshid igsh bd_vid "
    # where a link was embedded: Twitter, mailings (Mailchimp, HubSpot, Vero)
    "ref_src ref_url mc_cid mc_eid _hsenc _hsmi __hstc __hssc __hsfp hsctatracking vero_id vero_conv "
    # Baidu's site statistics
    "hmsr hmpl hmcu hmkw hmci "
    # Alibaba's traces
    "spm scm pvid "
    # WeChat adds these when a page is passed on
    "isappinstalled mpshare sharer_shareid sharer_sharetime sharer_shareinfo sharer_shareinfo_first "
    "wx_header pass_ticket chksm "
    # share buttons of Bilibili, Toutiao, Xiaohongshu, Zhihu, Weibo
    "share_source share_medium share_plat share_session_id share_tag share_from share_token share_uid "
    "share_did vd_source spm_id_from unique_k bbid tt_from xhsshare xsec_token xsec_source wfr weibo_id "
    # sessions
    "phpsessid jsessionid aspsessionid"
)
_TRACKING = frozenset(_TRACKING_NAMES.split())
_TRACKING_PREFIXES = ("utm_", "mtm_", "pk_", "hsa_", "oly_")
# Parameters that track only with these values: elsewhere `from` may be a page offset or a date.
_TRACKING_VALUES = {"from": frozenset({"singlemessage", "groupmessage", "timeline"})}
# WeChat articles: these four name the article, the other dozen name the reader.
_IDENTITY = {"mp.weixin.qq.com": frozenset({"__biz", "mid", "idx", "sn"})}

_DEFAULT_DOCUMENTS = frozenset(
    {"index.html", "index.htm", "index.shtml", "index.php", "index.jsp"}
    | {"default.asp", "default.aspx", "default.htm"}
)
# RFC 3986, appendix B, for http(s) only.
_URL = re.compile(r"https?://([^/?#\\]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.I | re.S)
_PLAIN_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9_])?")
_PERCENT = re.compile("%([0-9A-Fa-f]{2})?")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SAFE = "/:@!$&'()*+,;=~%?[]"  # what stays unescaped beside letters and digits
_NEEDS_ESCAPE = re.compile(f"[^A-Za-z0-9{re.escape('-._' + _SAFE)}]")
_SESSION_SUFFIX = re.compile(r";jsessionid=[^/;]*", re.I)
_LEFT_OUT = re.compile("[\t\r\n]")  # browsers ignore line breaks inside an address
_EDGES = "".join(map(chr, range(0x21)))


def _percent(match: re.Match[str]) -> str:
    digits = match[1]
    if digits is None:
        return "%25"  # a bare percent sign
    character = chr(int(digits, 16))
    return character if character in _UNRESERVED else f"%{digits.upper()}"


def _escape(part: str) -> str:
    """One spelling per byte: unreserved decoded, the rest %XX in upper case, other characters as UTF-8."""
    if "%" in part:
        part = _PERCENT.sub(_percent, part)
    if _NEEDS_ESCAPE.search(part):
        part = quote(part, safe=_SAFE, encoding="utf-8", errors="surrogatepass")
    return part


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _host(authority: str) -> str:
    """Host and non-default port of `user:password@host:port`; "" when there is no usable host."""
    host = authority.rpartition("@")[2]
    port = ""
    if host.startswith("["):
        literal, closed, port = host[1:].partition("]")
        address = _address(literal)
        if not closed or address is None or address.version != 6 or (port and not port.startswith(":")):
            return ""
        host, port = f"[{address.compressed}]", port[1:]
    else:
        host, _, port = host.partition(":")
        host = _dns_name(host)
    if port and not (port.isascii() and port.isdigit() and int(port[:6]) < 65536):
        return ""
    port = port.lstrip("0")
    if not host or port in {"", "80", "443"}:
        return host
    return f"{host}:{port}"


def _dns_name(host: str) -> str:
    if "%" in host:
        host = _PERCENT.sub(lambda match: chr(int(match[1], 16)) if match[1] else "%", host)
    if not host.isascii():
        try:
            # The standard codec (IDNA 2003): also folds full-width letters and the ideographic full stop.
            host = host[:253].encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    host = host.lower().strip(".")
    if not _PLAIN_HOST.fullmatch(host) or ".." in host:
        return ""
    return host


def _path(path: str) -> str:
    """Escaped, without dot segments, session id, default document and trailing slash; "" for the root."""
    path = _escape(path.replace("\\", "/"))
    if ";" in path:
        path = _SESSION_SUFFIX.sub("", path)
    if "/." in path:
        out: list[str] = []
        for segment in path.split("/")[1:]:
            if segment == "..":
                del out[-1:]
            elif segment != ".":
                out.append(segment)
        path = "/" + "/".join(out)
    while True:
        shorter = path.rstrip("/")
        head, _, last = shorter.rpartition("/")
        if last.lower() not in _DEFAULT_DOCUMENTS:
            return shorter
        path = head


def _query(query: str, host: str) -> str:
    """Parameters in order of name; repeated names keep their order, which may mean something."""
    identity = _IDENTITY.get(host)
    kept: list[tuple[str, str]] = []
    for item in query.split("&"):
        item = _escape(item).replace("%20", "+")
        name, _, value = item.partition("=")
        lower = name.lower()
        tracks = (
            lower in _TRACKING
            or lower.startswith(_TRACKING_PREFIXES)
            or value.lower() in _TRACKING_VALUES.get(lower, ())
        )
        if item and not tracks:
            kept.append((name, item))
    if identity and any(name in identity for name, _ in kept):
        kept = [pair for pair in kept if pair[0] in identity]
    kept.sort(key=lambda pair: pair[0])
    return "&".join(item for _, item in kept)


def normalize_url(url: str) -> str:
    """The duplicate key of `url`, itself a URL; "" when it is no http(s) URL."""
    match = _URL.fullmatch(_LEFT_OUT.sub("", url.strip(_EDGES)))
    if match is None:
        return ""
    authority, path, query, fragment = match.groups()
    host = _host(authority)
    if not host:
        return ""
    while host.startswith("www.") and "." in host[4:]:
        host = host[4:]
    key = f"https://{host}{_path(path)}"
    if query and (query := _query(query, host)):
        key = f"{key}?{query}"
    if fragment and (fragment.startswith("!") or (fragment[0] == "/" and len(fragment) > 1)):
        key = f"{key}#{_escape(fragment)}"
    return key


def url_host(url: str) -> str:
    """The lower-case host (punycode, no port); "" when `url` is no http(s) URL."""
    match = _URL.match(url.strip(_EDGES))
    host = _host(match[1]) if match else ""
    return host.partition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]


def parent_domains(host: str) -> list[str]:
    """`a.b.c.com` → itself, `b.c.com`, `c.com`: the names to look up in a list of domains, never a bare TLD.

    Stands in for the registered domain, which needs the public suffix list (it ages, and is not shipped).
    Suffixes of two parts (`com.cn`) come out too; they do no harm unless a list names them.
    """
    host = host.strip(".").lower()
    if "." not in host or ":" in host or (host[-1].isdigit() and _address(host)):
        return [host] if host else []
    labels = host.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]
