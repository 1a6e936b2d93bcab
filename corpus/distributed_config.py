"""Settings of `corpus clean --executor slurm` and `ray`. They shape nothing that comes out, only where it is made."""

from pydantic import Field

from runkit.config import Config


class SlurmConfig(Config):
    """How `--executor slurm` asks for machines; all of them must see the run directory and the inputs."""

    partition: str | None = None
    """Partition; null: the cluster's default."""
    time: str | None = Field(None, pattern=r"^(\d+-)?\d+(:\d+){0,2}$")
    """Longest time of one rank, as sbatch takes it: 08:00:00, 2-00:00:00; null: the partition's."""
    mem_per_cpu_gb: float = Field(4, gt=0)
    """Memory for each CPU, GiB; beside worker.memory_mb a rank needs 0.5."""
    cpus_per_task: int = Field(1, ge=1)
    """Worker processes of one rank, on one machine."""
    tasks: int | None = Field(None, ge=1)
    """Ranks of a stage, each with its part of the shards; null: one for each shard, at most max_array_size."""
    workers: int | None = Field(None, ge=1)
    """Ranks that may run at one time; null: as many as Slurm allows."""
    max_array_size: int = Field(1001, ge=1)
    """Longest job array of the cluster (`scontrol show config`: MaxArraySize); more tasks go into several."""
    decide_mem_gb: float | None = Field(None, gt=0)
    """Memory of the one rank of `exact` and of `decide`, GiB; null: 1, and 0.15 or 0.4 a million documents."""
    qos: str | None = None
    """Quality of service."""
    args: dict[str, str] = Field({})
    """More options of sbatch: {account: lab, constraint: avx2}."""
    env: str | None = None
    """Shell line that makes Python ready on a node; null: the Python of this command, first in PATH."""
    poll_s: float = Field(5, gt=0)
    """How often squeue is asked."""
    settle_s: float = Field(10, ge=0)
    """How long to wait for files of other machines to show up here once their rank has ended."""


class RayConfig(Config):
    """How `--executor ray` uses a Ray cluster; all its machines must see the run directory and the inputs."""

    address: str = "auto"
    """auto: the cluster that this machine is in; HOST:PORT; local: one on this machine, with --workers CPUs."""
    cpus_per_task: int = Field(1, ge=1)
    """Worker processes of one rank, on one machine."""
    mem_per_cpu_gb: float = Field(4, gt=0)
    """Memory to reserve for each CPU, GiB; beside worker.memory_mb a rank needs 0.5."""
    tasks: int | None = Field(None, ge=1)
    """Ranks of a stage, each with its part of the shards; null: four for each place in the cluster."""
    workers: int | None = Field(None, ge=1)
    """Ranks that may run at one time; null: as many as fit."""
    decide_mem_gb: float | None = Field(None, gt=0)
    """Memory for the one rank of `exact` and of `decide`, GiB; null: 1, and 0.15 or 0.4 a million documents."""
    env: list[str] = Field([])
    """Names of environment variables to hand to the ranks: [AWS_ENDPOINT_URL]. Ray shows their values to its users."""
    settle_s: float = Field(10, ge=0)
    """How long to wait for files of other machines to show up here once their rank has ended."""
