"""Which addresses are one page, and that no string at all can break the answer."""

import gzip
import json
import random
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus import blocklist
from corpus.blocklist import Blocklist
from corpus.urls import normalize_url, parent_domains, url_host
from runkit.errors import InputError

PAGES = Path(__file__).parents[3] / "shared" / "data" / "pages"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("HTTP://WWW.Example.COM:80/", "https://example.com"),
        ("https://example.com", "https://example.com"),
        ("https://example.com:443/a/", "https://example.com/a"),
        ("http://example.com:8080/a", "https://example.com:8080/a"),
        ("http://user:pw@example.com./a", "https://example.com/a"),
        ("http://m.example.com/a", "https://m.example.com/a"),
        ("http://www.com/", "https://www.com"),
        ("http://www.www.cn.com/", "https://cn.com"),
        ("http://例子.中国/新闻", "https://xn--fsqu00a.xn--fiqs8s/%E6%96%B0%E9%97%BB"),
        ("http://例子。ｃｎ/", "https://xn--fsqu00a.cn"),
        ("http://[2001:DB8:0::1]:80/", "https://[2001:db8::1]"),
        ("http://a.cn/b/../c/./d/..", "https://a.cn/c"),
        ("http://a.cn/../../x", "https://a.cn/x"),
        ("http://a.cn/%2e%2E/%7euser/%e4%b8%ad%2F", "https://a.cn/~user/%E4%B8%AD%2F"),
        ("http://a.cn/100%/%zz", "https://a.cn/100%25/%25zz"),
        ("http://a.cn/index.html", "https://a.cn"),
        ("http://a.cn/news/Default.aspx?b=2&a=1", "https://a.cn/news?a=1&b=2"),
        ("http://a.cn/index.html/index.php/", "https://a.cn"),
        ("http://a.cn/reindex.html", "https://a.cn/reindex.html"),
        ("http://a.cn/Path?Q=A", "https://a.cn/Path?Q=A"),
        ("http://a.cn/?a=2&a=1&&b", "https://a.cn?a=2&a=1&b"),
        ("http://a.cn/?q=a%20b", "https://a.cn?q=a+b"),
        ("http://a.cn/?utm_source=x&UTM_Medium=y&id=3&spm=1.2&fbclid=z", "https://a.cn?id=3"),
        ("http://a.cn/s?from=timeline&isappinstalled=0", "https://a.cn/s"),
        ("http://a.cn/s?from=2020", "https://a.cn/s?from=2020"),
        (
            "https://mp.weixin.qq.com/s?sn=d&__biz=MzA==&mid=1&idx=1&scene=21&key=secret#rd",
            "https://mp.weixin.qq.com/s?__biz=MzA==&idx=1&mid=1&sn=d",
        ),
        ("http://a.cn/p;jsessionid=12AB?x=1", "https://a.cn/p?x=1"),
        ("http://a.cn/p#top", "https://a.cn/p"),
        ("http://a.cn/p#!/post/1", "https://a.cn/p#!/post/1"),
        ("http://a.cn/#/post/1", "https://a.cn#/post/1"),
        ("http://a.cn/#/", "https://a.cn"),
        ("  http://a.cn/b\n c ", "https://a.cn/b%20c"),
        ("http://localhost/a", "https://localhost/a"),
    ],
)
def test_examples(url: str, key: str) -> None:
    assert normalize_url(url) == key
    assert normalize_url(key) == key


@pytest.mark.parametrize(
    "garbage",
    [
        "", " ", "urn:isbn:1", "about:blank", "javascript:alert(1)", "mailto:a@b.cn", "data:text/html,x", "ftp://a.cn/",
        "//a.cn/x", "a.cn/x", "http:/a.cn", "http://", "http:///x", "http://?x", "http://a b.cn/", "http://[::1/",
        "http://[zz]/", "http://[1.2.3.4]/", "http://a.cn:port/", "http://a.cn:99999/", "http://a..cn/", "http://-/",
        "http://\ud800.cn/", "http://" + "a" * 300 + ".cn/", "http://" + "中" * 300, "http://%00/", "http://a%zz.cn/",
        "http://a.cn:" + "9" * 5000, "https://\u0660.cn:\u0661/",
    ],
)  # fmt: skip
def test_garbage_gives_nothing(garbage: str) -> None:
    assert normalize_url(garbage) == ""


PIECE_LIST = (
    "http:// https:// www. a.cn 中.cn / // .. . %2e %25 %41 % %e4 ? & = # #! #/ :80 : @ [::1] index.html "
    "utm_x ;jsessionid=1 中 + \\ %20 %00 \ud800 %3b %5C %2F"
)
PIECES = st.sampled_from([*PIECE_LIST.split(), " ", "\t"])


@settings(max_examples=250, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=14).map(lambda parts: "http://a.cn" + "".join(parts))))
@example("http://a.cn/%2e%2e/index.html/%2e")
@example("http://a.cn/?a=%2520&%2575tm_source=1")
def test_idempotent_and_never_raises(url: str) -> None:
    key = normalize_url(url)
    assert normalize_url(key) == key
    assert key == "" or (key.startswith("https://") and key.isascii() and " " not in key)
    parent_domains(url_host(url))


def test_hosts_and_parents() -> None:
    assert url_host("http://WWW.News.Sina.com.cn:80/x") == "www.news.sina.com.cn"
    assert url_host("http://[::1]:8080/") == "::1"
    assert url_host("urn:x") == ""
    assert parent_domains("a.b.c.com") == ["a.b.c.com", "b.c.com", "c.com"]
    assert parent_domains("c.com") == ["c.com"]
    assert parent_domains("192.0.2.1") == ["192.0.2.1"]
    assert parent_domains("::1") == ["::1"]
    assert parent_domains("com") == ["com"] and parent_domains("") == []


@pytest.mark.skipif(not PAGES.exists(), reason=f"real pages not present: {PAGES}")
def test_real_urls_keep_apart() -> None:
    """Different pages of one site must not fall together."""
    for name in ("zh", "en"):
        urls = [json.loads(line)["url"] for line in (PAGES / f"{name}.jsonl").read_text("utf-8").strip().split("\n")]
        web = {url for url in urls if url and url.startswith("http")}
        keys = {normalize_url(url) for url in web}
        assert "" not in keys
        assert len(keys) >= len(web) - 3


# The blocklists. The archive inside datatrove is the truth; nothing of it is quoted here.

ARCHIVE = blocklist._assets() / blocklist._ARCHIVE if blocklist._assets() else None


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Blocklist, Path]]:
    """The shipped lists, built once into a cache folder of the tests' own (3 CPU seconds)."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        Blocklist.open()
        yield Blocklist.open(), folder / "wenhai"


@pytest.fixture(scope="session")
def archive_lines() -> dict[str, list[str]]:
    assert ARCHIVE is not None
    with tarfile.open(ARCHIVE, "r:gz") as tar:
        files = {name: tar.extractfile(name) for name in ("domains", "urls")}
        return {name: file.read().decode().split("\n") for name, file in files.items() if file}


def test_agrees_with_the_archive(shipped: tuple[Blocklist, Path], archive_lines: dict[str, list[str]]) -> None:
    lists, _ = shipped
    rng = random.Random(5)
    for name, reason in (("domains", "url.domain"), ("urls", "url.url")):
        listed = [line for line in rng.sample(archive_lines[name], 2000) if "." in line]
        assert all(reason in lists.check(f"http://{line}") for line in listed)
        # Near misses: one character changed in the middle, truth looked up in the archive itself.
        changed = [line[: len(line) // 2] + "q7" + line[len(line) // 2 :] for line in listed]
        wanted = {parent for line in changed for parent in parent_domains(line.partition("/")[0])}
        truth = wanted.intersection(archive_lines["domains"])
        address_truth = set(changed).intersection(archive_lines["urls"])
        for line in changed:
            found = lists.check(f"https://{line}")
            in_domains = not truth.isdisjoint(parent_domains(line.partition("/")[0]))
            assert ("url.domain" in found) == in_domains
            assert ("url.url" in found) == (line in address_truth)


def test_words(shipped: tuple[Blocklist, Path]) -> None:
    lists, _ = shipped
    assert lists.check("https://news.example.cn/Porn/1.html") == ["url.word"]
    assert lists.check("https://news.example.cn/sex-and-the-nude/1.html") == ["url.soft_words"]
    assert lists.check("https://news.example.cn/sex-education/1.html") == []
    assert lists.check("https://cdn.example.cn/big-tits/1.html") == ["url.word", "url.subword"]
    for good in (
        "essex.gov.uk",
        "canal.cn/analysis",
        "a.cn/bootstrap-on-apps",
        "a.cn/class/assets",
        "a.cn/sussex",
    ):
        assert lists.check(f"https://{good}") == []
    assert lists.check("urn:isbn:1") == lists.check("") == lists.check("http://[") == []


def test_second_start_is_cheap_and_checks_its_cache(
    shipped: tuple[Blocklist, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = shipped
    (cache,) = folder.iterdir()
    start = time.process_time()
    Blocklist.open()
    assert time.process_time() - start < 0.4  # measured 0.05
    whole = cache.read_bytes()
    # Any build from here on is a rebuild; it is faked, for a real one takes 3 s.
    monkeypatch.setattr(blocklist, "_archive_hashes", lambda archive: np.array([1, 2, 3], np.int64))
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (whole[:-8], whole[:5000], b"", b"\x93NUMPY", bytes(flipped), b"x" + whole[1:]):
        cache.write_bytes(damaged)
        assert len(Blocklist.open()._hashes) == 3  # noticed and rebuilt
        assert blocklist._load_cache(cache) is not None  # and the rebuilt cache is whole
    cache.write_bytes(whole)
    assert len(Blocklist.open()._hashes) > 4_000_000


def test_unwritable_cache_stays_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(blocklist, "_archive_hashes", lambda archive: np.array([1, 2, 3], np.int64))
    assert Blocklist.open().check("http://a.cn/") == []


def test_own_lists(tmp_path: Path) -> None:
    domains, urls, words = tmp_path / "d.txt", tmp_path / "u.txt.gz", tmp_path / "w.txt"
    domains.write_text("# ours\nspam.example\n\n例子.中国\nWWW.Full.example\n", "utf-8")
    urls.write_bytes(gzip.compress(b"http://a.example/x?b=1&a=2\nb.example/page/\n"))
    words.write_text("\ufeff赌场\ncasino\n", "utf-8")
    lists = Blocklist.open([domains], [urls], [words], use_shipped=False)
    assert lists.check("https://news.spam.example/1") == ["url.own_domain"]
    assert lists.check("https://notspam.example/1") == []
    assert lists.check("https://例子.中国/1") == ["url.own_domain"]
    assert lists.check("https://full.example/") == []
    assert lists.check("https://www.a.example/x?a=2&b=1&utm_source=q#top") == ["url.own_url"]
    assert lists.check("http://b.example/page") == ["url.own_url"]
    assert lists.check("http://b.example/%E8%B5%8C%E5%9C%BA") == ["url.own_word"]
    assert lists.check("http://spam.example/BigCasino") == ["url.own_domain", "url.own_word"]
    assert lists.check("http://porn.example/") == []  # the shipped lists are off
    with pytest.raises(InputError, match=r"missing\.txt"):
        Blocklist.open(domains=[tmp_path / "missing.txt"])
    domains.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="UTF-8"):
        Blocklist.open(domains=[domains])


@pytest.mark.skipif(not PAGES.exists(), reason=f"real pages not present: {PAGES}")
def test_good_pages_are_not_hit(shipped: tuple[Blocklist, Path]) -> None:
    """Only one site of these news pages is on the lists themselves; no rule on words may fire."""
    lists, _ = shipped
    for name in ("zh", "en"):
        lines = (PAGES / f"{name}.jsonl").read_text("utf-8").strip().split("\n")
        hits = [reason for line in lines for reason in lists.check(json.loads(line)["url"])]
        assert len(hits) <= 1 and set(hits) <= {"url.domain"}
