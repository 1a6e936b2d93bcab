"""Ranks as Ray actors, by way of datatrove's executor, on a cluster that is there or on one of this machine's own.

In: the `ray` settings. Out: ended ranks; whether they did their part is asked of the marks (`corpus/distributed.py`),
since datatrove's executor only warns of a rank that failed. A rank whose process or machine dies is begun again by it,
three times at most, and then does only what is missing. Asking for more than any machine has would make Ray wait for
ever, so that is looked at first. The ranks end with this process.
"""

import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datatrove.executor.ray import RayPipelineExecutor

from corpus.distributed import Launch
from corpus.distributed_config import RayConfig
from runkit.errors import EnvironmentFault, UsageError

RANKS_PER_PLACE = 4  # a place that is done with an easy rank takes another
TICK_S = 1.0
LISTENS_WITHIN_S = 20


class _Executor(RayPipelineExecutor):
    """datatrove's, without a copy of the whole plan as JSON."""

    def save_executor_as_json(self, indent: int = 4) -> None:
        pass


class Ray:
    """A `corpus.distributed.Cluster`."""

    forked = True

    def __init__(self, config: RayConfig, workers: int) -> None:
        self.config = config
        self.settle_s, self.cpus_per_task = config.settle_s, config.cpus_per_task
        self.own_cpus = workers
        self._ray: Any = None

    def ranks(self, shards: int) -> int:
        if self.config.tasks:
            return self.config.tasks
        cpus = self._connect().cluster_resources().get("CPU", 1)
        return max(1, int(cpus // self.config.cpus_per_task)) * RANKS_PER_PLACE

    def run(self, launch: Launch, tick: Callable[[], None]) -> None:
        cpus = 1 if launch.alone else self.config.cpus_per_task
        mem_gb = launch.mem_gb(self.config.decide_mem_gb, self.config.mem_per_cpu_gb, cpus)
        self._check_room(cpus, mem_gb, "ray.decide_mem_gb" if launch.alone else "ray.mem_per_cpu_gb")
        executor = _Executor(
            [launch.step],
            tasks=len(launch.groups),
            workers=self.config.workers or -1,
            logging_dir=str(launch.folder),
            cpus_per_task=cpus,
            mem_per_cpu_gb=mem_gb / cpus,
        )
        over = threading.Event()

        def watch() -> None:
            while not over.wait(TICK_S):
                tick()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            executor.run()
        finally:
            over.set()
            watcher.join()

    def log(self, launch: Launch, rank: int) -> Path:
        return launch.folder / "logs" / f"task_{rank:05d}.log"

    def take_over(self) -> None:
        """Ray ends the actors of a process that is gone."""

    def _connect(self) -> Any:
        if self._ray is not None:
            return self._ray
        try:
            import ray
        except ImportError:
            raise UsageError("Ray is not installed; pip install 'wenhai[ray]', or use --executor local.") from None
        missing = [name for name in self.config.env if name not in os.environ]
        if missing:
            raise UsageError(f"The variable {missing[0]} of ray.env is not set here.")
        _look_for(self.config.address)
        local = self.config.address == "local"
        settings: dict[str, Any] = {"num_cpus": self.own_cpus, "include_dashboard": False} if local else {}
        env = {name: os.environ[name] for name in self.config.env}
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            ray.init(
                address=self.config.address,
                runtime_env={"env_vars": env},
                log_to_driver=False,
                logging_level="ERROR",
                **settings,
            )
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise _no_cluster(self.config.address, str(error).strip().split("\n")[0]) from error
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)  # Ray sets its own, which ends with another exit code
        self._ray = ray
        return ray

    def _check_room(self, cpus: int, mem_gb: float, key: str) -> None:
        """UsageError when no machine of the cluster could ever take such a rank."""
        machines = [node["Resources"] for node in self._connect().nodes() if node["Alive"]]
        fits = [m for m in machines if m.get("CPU", 0) >= cpus and m.get("memory", 0) >= mem_gb * 2**30]
        if not fits:
            most = max((m.get("memory", 0) / 2**30 for m in machines), default=0)
            raise UsageError(
                f"No machine of the Ray cluster has {cpus} CPUs and {mem_gb:g} GiB for one rank, the largest has "
                f"{max((m.get('CPU', 0) for m in machines), default=0):g} CPUs and {most:.1f} GiB; "
                f"lower {key} or ray.cpus_per_task."
            )


def _look_for(address: str) -> None:
    """EnvironmentFault when nobody listens at HOST:PORT, where Ray itself would try for many minutes."""
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=LISTENS_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str, said: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"No Ray cluster at {address}: {said}; start one with `ray start --head`, or give -s ray.address=local."
    )
