"""A Slurm cluster on this machine, for the tests: munged, slurmctld and a slurmd, started by hand and stopped by pid.

In: an empty folder. Out: the environment in which sbatch and squeue find the cluster. Needs root and Debian's packages
`slurm-wlm` and `munge` (tested with 22.05); `why_not` says what is missing.
"""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.launch import until

CONF = """
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={ctld}
SlurmdPort={slurmd}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/builtin
SchedulerParameters=sched_min_interval=0
ReturnToService=2
MpiDefault=none
MaxArraySize=101
KillWait=1
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=16000 State=UNKNOWN
PartitionName=lab Nodes=ALL Default=YES MaxTime=60 State=UP
"""
TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "runuser")


def why_not() -> str | None:
    """Why there can be no cluster here."""
    if os.geteuid() != 0:
        return "Slurm's daemons need root"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    return f"not installed: {', '.join(missing)} (apt-get install slurm-wlm munge)" if missing else None


@contextmanager
def slurm(folder: Path, cpus: int = 2) -> Iterator[dict[str, str]]:
    """The cluster while the block lasts; the environment for its commands. `folder` must be reachable by everybody."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
        ports = {"ctld": a.getsockname()[1], "slurmd": b.getsockname()[1]}
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(folder=folder, host=socket.gethostname(), cpus=cpus, **ports))
    env = {**os.environ, "SLURM_CONF": str(conf), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    munge = folder / "munge"
    munge.mkdir(mode=0o711)
    key = munge / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    for path in (munge, key):
        shutil.chown(path, "munge", "munge")
    started = []
    try:
        daemon = ["munged", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket"]
        daemon += [f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed"]
        folder.chmod(0o777)
        subprocess.run(["runuser", "-u", "munge", "--", *daemon], env=env, check=True, capture_output=True, timeout=30)
        started.append(munge / "pid")
        subprocess.run(["slurmctld", "-c"], env=env, check=True, capture_output=True, timeout=30)
        started.append(folder / "slurmctld.pid")
        subprocess.run(["slurmd"], env=env, check=True, capture_output=True, timeout=30)
        started.append(folder / "slurmd.pid")

        def idle() -> bool:
            asked = ["sinfo", "--noheader", "--format=%T"]
            return subprocess.run(asked, env=env, capture_output=True, text=True, timeout=30).stdout.strip() == "idle"

        until(idle, "Slurm's node to be idle", 30)
        yield env
    finally:
        for pid_file in reversed(started):
            _stop(pid_file)


def _stop(pid_file: Path) -> None:
    with suppress(OSError, ValueError):
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        until(lambda: not _lives(pid), f"{pid_file} to end", 30)


def _lives(pid: int) -> bool:
    """Not gone, and not a corpse that a container's first process leaves lying."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
