"""`corpus clean --upload s3://bucket/folder`: a copy of the run directory in an object store, shard by shard.

In: finished shards of a run on a disk. Out: the same files as objects, by fsspec. A run itself cannot lie in a store:
it has neither locks nor renames. The order is what keeps a reader from half a run: `manifest.json` first, which binds
the folder to this run; of each shard its files, then its mark; `summary.json` last, without which every command says
that the run is not finished. An object is there whole or not at all, so nothing else is needed. What the store already
has (the same mark, the same sizes) is not sent again.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from runkit.errors import EnvironmentFault, InputError, UsageError, UserError
from runkit.rundir import Mark, RunDir

AT_ONCE = 1000  # marks that are asked for together
_BUCKETS = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "obs", "cos"}
MANIFEST, SUMMARY = "manifest.json", "summary.json"


class Upload:
    """One folder of a store; made anew in each process, for its connections do not survive a fork."""

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url.rstrip("/")
        try:
            self.fs, self.root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise UsageError(f"--upload {url} cannot be used: {error}; for S3 pip install 'wenhai[s3]'.") from None
        # There a folder is but a name, and to make the first one would make the bucket of a misspelt address.
        self._has_buckets = not _BUCKETS.isdisjoint([self.fs.protocol, *self.fs.protocol])

    def claim(self, run: RunDir) -> None:
        """Bind the folder to this run before any work is done; InputError: it holds something else."""
        with self._told():
            there = self._read(MANIFEST)
            own = run.file(MANIFEST).read_bytes()
            if there is None and self.fs.exists(self.root) and self.fs.find(self.root):
                raise InputError(f"{self.url} is not empty and no run directory; give --upload another folder.")
            if there is not None and there != own:
                raise InputError(f"{self.url} holds another run; give --upload another folder.")
            if there is None:
                self._send(run, MANIFEST)

    def shard(self, run: RunDir, mark: Mark) -> None:
        """Send the files of a finished shard, then its mark."""
        with self._told():
            self._unfinish()
            for output in mark.outputs:
                self._send(run, output)
            self._send(run, f"marks/{mark.name}.json")

    def rest(self, run: RunDir) -> None:
        """Send what the store has not got: shards, then what belongs to none of them; `summary.json` last."""
        with self._told():
            sizes = self._sizes()
            marks = sorted(path.stem for path in run.path.glob("marks/done-*.json"))
            for start in range(0, len(marks), AT_ONCE):
                for mark in self._missing(run, marks[start : start + AT_ONCE], sizes):
                    self.shard(run, mark)
            names = [path.name for path in sorted(run.path.iterdir()) if path.is_file() and path.name[0] != "."]
            for name in (*(name for name in names if name not in (MANIFEST, SUMMARY)), "marks/copies.json"):
                if self._read(name) != run.file(name).read_bytes():
                    if name != "usage.json":  # times differ at each start, and make no other run
                        self._unfinish()
                    self._send(run, name)
            if self._read(SUMMARY) != run.file(SUMMARY).read_bytes():
                self._send(run, SUMMARY)

    def _missing(self, run: RunDir, names: list[str], sizes: dict[str, int]) -> Iterator[Mark]:
        """Of these shards those whose mark or files the store has not got as they are here."""
        places = [name for mark in names if (name := self._at(f"marks/{mark}.json")) in sizes]
        there = self.fs.cat(places, on_error="omit") if places else {}
        for name in names:
            mark = run.done(name, sizes_only=True)
            if mark is None:
                raise InputError(f"{run.damaged[-1]} while the run was uploaded; run again to make it anew.")
            same = there.get(self._at(f"marks/{name}.json")) == run.file(f"marks/{name}.json").read_bytes()
            if not same or any(sizes.get(self._at(o)) != run.file(o).stat().st_size for o in mark.outputs):
                yield mark

    def _sizes(self) -> dict[str, int]:
        found = self.fs.find(self.root, detail=True) if self.fs.exists(self.root) else {}
        return {path: int(info["size"]) for path, info in found.items()}

    def _unfinish(self) -> None:
        """Before anything changes: whoever reads now is told that the run is not finished."""
        if self.fs.exists(self._at(SUMMARY)):
            self.fs.rm_file(self._at(SUMMARY))

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _read(self, name: str) -> bytes | None:
        try:
            return bytes(self.fs.cat_file(self._at(name)))
        except FileNotFoundError:
            return None

    def _send(self, run: RunDir, name: str) -> None:
        file, place = run.file(name), self._at(name)
        if not self._has_buckets:
            self.fs.makedirs(place.rpartition("/")[0], exist_ok=True)
        self.fs.put_file(str(file), place)
        self.fs.invalidate_cache(place.rpartition("/")[0])
        if int(self.fs.info(place)["size"]) != file.stat().st_size:
            raise OSError(f"{name} arrived with another size")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """EnvironmentFault for whatever the store or the way to it says: each client has errors of its own."""
        try:
            yield
        except (UserError, MemoryError):
            raise
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise EnvironmentFault(
                f"Cannot upload to {self.url}: {said}; for S3 look at the bucket, AWS_ENDPOINT_URL and the keys, and "
                "run again: it goes on from there."
            ) from error
