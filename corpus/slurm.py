"""Ranks as Slurm jobs, by way of datatrove's executor: submit one stage, watch it with squeue until no rank is left.

In: the `slurm` settings. Out: ended jobs; whether they did their part is asked of the marks (`corpus/distributed.py`).
datatrove's executor comes back once it has submitted, chains arrays of more than `max_array_size` ranks by `afterany`,
and adds a job that sums up statistics and waits for ever when a rank fails; here every array is waited for and that job
is not made. All jobs of a run directory bear one name, by which a later start finds what an earlier one left.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor, default_job_id_retriever

from corpus.distributed import Launch
from corpus.distributed_config import SlurmConfig
from runkit.console import say
from runkit.errors import EnvironmentFault, UsageError

PATIENCE_S = 600  # so long Slurm may give no answer, for its controller is restarted now and then
GONE_WITHIN_S = 120
# Slurm takes such jobs and never starts them: for what was asked of it, or for what went wrong.
_ASKED = {
    *("PartitionTimeLimit", "PartitionNodeLimit", "BadConstraints"),
    *("InvalidAccount", "InvalidQOS", "AccountNotAllowed", "QOSNotAllowed"),
}
_WRONG = {"DependencyNeverSatisfied", "JobHeldAdmin", "launch failed requeued held"}
_USUAL = {"None", "Priority", "Dependency", "JobArrayTaskLimit", "PartitionConfig"}
# Inside a job of its own, Slurm's variables would make datatrove's executor take itself for a rank.
_OF_A_JOB = ("SLURM_ARRAY_", "SLURM_JOB", "SLURM_STEP", "SLURM_TASK", "SLURM_CPU", "SLURM_MEM", "SLURM_N", "SLURM_PROC")


@dataclass(frozen=True, slots=True)
class _Task:
    """One line of squeue."""

    job: str  # 12_3
    state: str
    reason: str


class _Ids:
    """Reads the job id that sbatch prints, and keeps all of them: there is one for each array."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def __call__(self, output: str) -> str:
        self.ids.append(str(default_job_id_retriever(output, -1)))
        return self.ids[-1]


class _Executor(SlurmPipelineExecutor):
    """datatrove's, without its jobs on the side."""

    def __init__(self, launch: Launch, config: SlurmConfig, name: str) -> None:
        cpus = 1 if launch.alone else config.cpus_per_task
        mem_gb = launch.mem_gb(config.decide_mem_gb, config.mem_per_cpu_gb, cpus)
        super().__init__(
            [launch.step],
            tasks=len(launch.groups),
            time=config.time,
            partition=config.partition,
            cpus_per_task=cpus,
            workers=-1 if config.workers is None else config.workers,
            job_name=name,
            qos=config.qos,
            # The Python of this command, wherever its folder stands in the node's PATH.
            env_command=config.env or f'export PATH="{Path(sys.executable).parent}:$PATH"',
            sbatch_args={"mem-per-cpu": f"{round(mem_gb / cpus * 1024)}M", **config.args},
            max_array_size=config.max_array_size,
            job_id_retriever=_Ids(),
            logging_dir=str(launch.folder),
            mail_user=None,
        )

    def get_sbatch_args(self, max_array: int = 1) -> dict[str, Any]:
        args = super().get_sbatch_args(max_array)
        return {key: value for key, value in args.items() if value is not None}

    def launch_merge_stats(self) -> None:
        pass

    def save_executor_as_json(self, indent: int = 4) -> None:
        pass

    def script(self) -> str:
        """A script as those that will be submitted, to have Slurm look at its options."""
        return str(self.get_launch_file_contents(self.get_sbatch_args(min(self.tasks, self.max_array_size)), "true"))


class Slurm:
    """A `corpus.distributed.Cluster`."""

    forked = False

    def __init__(self, config: SlurmConfig, run: Path) -> None:
        self.config = config
        self.settle_s, self.cpus_per_task = config.settle_s, config.cpus_per_task
        self.name = f"corpus-{hashlib.sha256(os.fsencode(run.resolve())).hexdigest()[:12]}"
        self.ids: list[str] = []

    def ranks(self, shards: int) -> int:
        return self.config.tasks or min(shards, self.config.max_array_size)

    def run(self, launch: Launch, tick: Callable[[], None]) -> None:
        for variable in [name for name in os.environ if name.startswith(_OF_A_JOB)]:
            del os.environ[variable]
        executor = _Executor(launch, self.config, self.name)
        self.ids = executor.job_id_retriever.ids
        _ask(["sbatch", "--test-only"], stdin=executor.script())
        try:
            executor.run()
            self._wait(tick)
        except subprocess.CalledProcessError as error:
            self.take_over()
            raise EnvironmentFault(f"Slurm refused a job of stage {launch.stage}: {error}; see above.") from error
        except BaseException:
            self.take_over()
            raise

    def log(self, launch: Launch, rank: int) -> Path:
        array, place = divmod(rank, self.config.max_array_size)
        job = self.ids[array] if array < len(self.ids) else "none"
        return launch.folder / "slurm_logs" / f"{job}_{place}.out"

    def left_in(self, jobs: Path) -> bool:
        """Whether an earlier start used Slurm, so that ranks of it may still be running."""
        return shutil.which("squeue") is not None and any(jobs.glob("*/slurm_logs"))

    def take_over(self) -> None:
        deadline = time.monotonic() + GONE_WITHIN_S
        told = False
        while tasks := self._tasks():
            if not told:
                say(f"Stopping {len(tasks)} ranks of this run directory in Slurm.")
                told = True
            _ask(["scancel", *sorted({task.job.partition("_")[0] for task in tasks})])
            if time.monotonic() > deadline:
                raise EnvironmentFault(f"Slurm does not stop the jobs named {self.name}; stop them with scancel.")
            time.sleep(min(self.config.poll_s, 1))

    def _wait(self, tick: Callable[[], None]) -> None:
        heard = time.monotonic()
        told: set[str] = set()
        while True:
            try:
                tasks = self._tasks()
                heard = time.monotonic()
            except EnvironmentFault:
                if time.monotonic() - heard > PATIENCE_S:
                    raise
                tasks = None
            if tasks is not None:
                if not tasks:
                    return
                _tell_waiting(tasks, told)
            tick()
            time.sleep(self.config.poll_s)

    def _tasks(self) -> list[_Task]:
        """What Slurm has of this run directory's jobs that is not over."""
        lines = _ask(["squeue", "--noheader", "--array", "--me", f"--name={self.name}", "--format=%i|%T|%r"])
        return [_Task(*fields) for line in lines.splitlines() if len(fields := line.strip().split("|")) == 3]


def _tell_waiting(tasks: Iterable[_Task], told: set[str]) -> None:
    """UserError when ranks can never start; why others wait is said once."""
    reasons = Counter(task.reason for task in tasks if task.state == "PENDING")
    for reason in sorted(reasons):
        if reason in _ASKED | _WRONG:
            kind = UsageError if reason in _ASKED else EnvironmentFault
            advice = "change -s slurm.* and run again" if reason in _ASKED else "mend that and run again"
            raise kind(f"Slurm will never start {reasons[reason]} ranks ({reason}); {advice}.")
    for reason in sorted(set(reasons) - told - _USUAL):
        told.add(reason)
        say(f"Slurm has ranks waiting: {reason}.")


def _ask(command: list[str], stdin: str | None = None) -> str:
    """Run one of Slurm's commands; its stdout."""
    if shutil.which(command[0]) is None:
        raise EnvironmentFault(f"{command[0]} is not in PATH; --executor slurm starts on a machine of a Slurm cluster.")
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = "; ".join(line.strip() for line in done.stderr.splitlines() if line.strip()) or f"exit {done.returncode}"
        if command[0] == "sbatch":
            raise UsageError(f"Slurm refuses the job: {said}. Change -s slurm.* and run again.")
        raise EnvironmentFault(f"{command[0]} failed: {said}.")
    return done.stdout
