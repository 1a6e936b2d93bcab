"""What one rank of a distributed stage does, on whatever machine it finds itself: its units, then a note of its end.

In: a `Job` and the units of every rank, pickled; a unit is a shard or, in the stage `buckets`, a range of hashes. Out:
the marks of its units, and `<folder>/ends/<rank>.json` with its CPU seconds, or with the sentence that the person at
the command shall read. Units that have their mark are passed over, so a rank that is begun again, by Slurm or by Ray,
does only what is missing.
"""

import os
import resource
import traceback
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

from corpus.dedup_staged import Compared
from corpus.stages import DECIDE, FINISH, READ, SIGN, Job, compare, finish_shards, mark_name, read_shards, sign_shards
from runkit.errors import EnvironmentFault, UserError
from runkit.files import write_json
from runkit.rundir import RunDir
from runkit.workers import begin_worker


def end_file(folder: Path, rank: int) -> Path:
    """Where a rank says how it ended."""
    return folder / "ends" / f"{rank:05d}.json"


class RankStep(PipelineStep):
    """One stage as a datatrove step; rank r works through `groups[r]`."""

    type = "stage"

    def __init__(
        self,
        job: Job,
        stage: str,
        groups: list[list[int]],
        folder: Path,
        forked: bool,
        compared: Compared | None = None,
    ) -> None:
        super().__init__()
        self.name = stage
        self.job, self.stage, self.groups, self.folder = job, stage, groups, folder
        self.forked, self.compared = forked, compared
        self.versions = job.run.manifest.get("versions", {})

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Any:
        if self.forked:  # a child of a Ray worker: it must not outlive it and meet the rank's next start
            begin_worker(os.getppid())
        if not (self.job.run.path / "manifest.json").is_file():
            raise EnvironmentFault(
                f"{self.job.run.path} is not on this machine ({os.uname().nodename}); --out must lie on a file system "
                "that all machines see."
            )
        before = _cpu_seconds()
        try:
            self._check_versions()
            self._work(rank)
        except Exception as error:
            fault = {"exit_code": error.exit_code if isinstance(error, UserError) else 1, "sentence": str(error)}
            fault |= {"cpu_seconds": _cpu_seconds() - before, "traceback": traceback.format_exc()}
            write_json(end_file(self.folder, rank), fault)
            raise
        write_json(end_file(self.folder, rank), {"exit_code": 0, "cpu_seconds": _cpu_seconds() - before})
        return ()

    def _work(self, rank: int) -> None:
        # What this process learns of damaged files is no concern of the other ranks.
        job = replace(self.job, run=RunDir(self.job.run.path, self.job.run.manifest, True))
        units = [unit for unit in self.groups[rank] if job.run.standing(mark_name(self.stage, unit)) is None]
        job.run.damaged.clear()
        if self.stage == READ:
            read_shards(job, units, _nothing, _nothing)
            if job.config.dedup.enabled and job.run.done(mark_name(DECIDE), sizes_only=True) is None:
                sign_shards(job, units)
        elif self.stage == SIGN:
            sign_shards(job, units)
        elif self.stage == FINISH:
            finish_shards(job, units, _nothing)
        else:
            assert self.compared is not None
            compare(job, self.stage, self.compared, units)

    def _check_versions(self) -> None:
        """Other versions of the libraries may give other bytes, and a run must not be made of two halves."""
        for name, wanted in self.versions.items():
            try:
                found = version(name)
            except PackageNotFoundError:
                found = "not there"
            if found != wanted:
                raise EnvironmentFault(
                    f"{name} is {found} on {os.uname().nodename} and {wanted} where the run was started; "
                    "use one environment on all machines."
                )


def _cpu_seconds() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _nothing(count: int) -> None:
    pass
