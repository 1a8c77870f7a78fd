"""A batch system whose jobs are a sweep's workers: the ``[cluster]`` table of a plan."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from ..errors import BenchError, SettingError

if TYPE_CHECKING:
    from dask_jobqueue import SLURMCluster

#: Seconds a worker waits for its scheduler before its job ends itself.
ORPHANED = 60
#: Least memory of a worker, in bytes; an interpreter with what it imports needs more.
LEAST = 100_000_000
#: What sbatch says of a job that could never run; a full queue or a node that is down is no such.
WRONG = re.compile(
    r"invalid|unrecognized|unknown|not permitted|denied|node configuration is not available", re.I)
#: Length of a job, as SLURM writes it.
WALLTIME = re.compile(r"(\d+:|\d+-([01]\d|2[0-3]):)[0-5]\d:[0-5]\d")
#: Address of a scheduler.
ADDRESS = re.compile(r"(tcp|tls)://([^\s/:\[\]]+|\[[0-9a-fA-F:.%\w]+\]):(\d{1,5})")


def parse_memory(text: str, workers: int = 1) -> int:
    """Bytes of an amount of memory that is divided among workers.

    Raises
    ------
    ValueError
        It cannot be read, or is too little.
    """
    from dask.utils import parse_bytes

    try:
        found = int(parse_bytes(text))
    except (ValueError, OverflowError):
        raise ValueError("is no amount of memory such as 4GB") from None
    if found < LEAST * workers:
        each = f" for each of {workers} workers" if workers > 1 else ""
        raise ValueError(f"is less than 100 MB{each}")
    return found


def is_address(text: str) -> bool:
    """Whether a text is ``tcp://HOST:PORT`` or ``tls://HOST:PORT``."""
    found = ADDRESS.fullmatch(text)
    return found is not None and 0 < int(found[3]) < 65536


def check_reachable(address: str) -> None:
    """Refuse a scheduler that does not answer.

    Raises
    ------
    BenchError
    """
    found = ADDRESS.fullmatch(address)
    assert found is not None, address
    try:
        socket.create_connection((found[2].strip("[]"), int(found[3])), timeout=5).close()
    except OSError as error:
        raise BenchError(
            f"no scheduler answers at {address}: {error.strerror or error}",
            "Start one with: dask scheduler --port 8786",
        ) from error


class ClusterSpec(BaseModel):
    """What ``[cluster]`` may hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["slurm"] = Field("slurm", description="batch system")
    jobs: Annotated[int, Field(ge=1, description="jobs to submit")] = 1
    workers_per_job: Annotated[int, Field(ge=1, description="worker processes of a job")] = 1
    cores: int = Field(
        1, ge=1, validate_default=True, description="cores of a job, divided among its workers"
    )
    memory: str = Field(
        "4GB", validate_default=True, description="memory of a job, divided among its workers"
    )
    walltime: str = Field("01:00:00", description="HH:MM:SS or D-HH:MM:SS of a job, in quotes")
    queue: str | None = Field(None, description="partition")
    account: str | None = Field(None, description="account")
    interface: str | None = Field(None, description="network interface, e.g. ib0")
    directives: list[str] = Field(default_factory=list, description="more of #SBATCH")
    prologue: list[str] = Field(default_factory=list, description="shell lines before the worker")
    python: str | None = Field(None, description="interpreter on the nodes; this one if unset")
    logs: str | None = Field(None, description="folder of the jobs' output")
    patience: Annotated[float, Field(gt=0, description="longest wait for a first job, in s")] = 3600

    @field_validator("cores")
    @classmethod
    def _enough_cores(cls, cores: int, info: ValidationInfo) -> int:
        workers = info.data.get("workers_per_job", 1)
        if cores < workers:
            raise ValueError(f"fewer than workers_per_job = {workers}; each needs a core")
        return cores

    @field_validator("memory")
    @classmethod
    def _enough_memory(cls, memory: str, info: ValidationInfo) -> str:
        parse_memory(memory, info.data.get("workers_per_job", 1))
        return memory

    @field_validator("walltime")
    @classmethod
    def _readable(cls, walltime: str) -> str:
        if not WALLTIME.fullmatch(walltime):
            raise ValueError("is neither HH:MM:SS nor D-HH:MM:SS, e.g. 04:00:00 or 2-12:00:00")
        return walltime

    @property
    def workers(self) -> int:
        """Worker processes of all jobs."""
        return self.jobs * self.workers_per_job

    def check(self) -> None:
        """Refuse a table that no job could be submitted by; submits none.

        Raises
        ------
        BenchError
            dask-jobqueue is not installed, there is no ``sbatch``, it refuses such a job, the
            network interface is not there, or the folder of the output cannot be written.
        """
        try:
            from dask_jobqueue.slurm import SLURMJob
        except ImportError as error:
            raise SettingError(
                "a [cluster] table needs dask-jobqueue, which is not installed",
                "pip install 'eeg-cross-corpus-bench[cluster]'",
            ) from error
        if shutil.which("sbatch") is None:
            raise SettingError(
                "a [cluster] table with kind = \"slurm\" needs the command sbatch, which is not "
                "on PATH", "Run the sweep on a login node of the cluster, or use --workers.",
            )
        self._check_interface()
        try:
            # It makes the folder of the output.
            job = SLURMJob(scheduler="tcp://localhost:0", name="test", **self._job())
            if self.logs is not None:
                with tempfile.TemporaryFile(dir=self.logs):
                    pass
        except OSError as error:
            raise SettingError(
                f"cluster.logs = {self.logs!r} cannot be written: {error.strerror or error}",
                "Give another folder for the output of the jobs.",
            ) from error
        with tempfile.NamedTemporaryFile("w", suffix=".sh") as script:
            script.write(job.job_script())
            script.flush()
            self._try_out(script.name)

    def _check_interface(self) -> None:
        there = [name for _, name in socket.if_nameindex()]
        if self.interface is not None and self.interface not in there:
            raise SettingError(
                f"cluster.interface = {self.interface!r}: this machine has no such network "
                "interface", f"It has: {', '.join(sorted(there))}",
            )

    def _try_out(self, script: str) -> None:
        """Have a job looked at that is not submitted; what only has to wait is no mistake."""
        try:
            done = subprocess.run(  # noqa: S603
                ["sbatch", "--test-only", script], stdin=subprocess.DEVNULL,  # noqa: S607
                capture_output=True, text=True, timeout=60, check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BenchError(
                f"sbatch does not answer: {error}", "See whether squeue does, and try again later."
            ) from error
        if done.returncode and WRONG.search(done.stderr):
            raise _refused(done.stderr.strip())

    def _job(self) -> dict[str, Any]:
        """What describes a job to dask-jobqueue."""
        threads = max(1, self.cores // self.workers_per_job)
        first = [f"export {name}_NUM_THREADS={threads}" for name in ("OMP", "MKL", "OPENBLAS")]
        return {
            "queue": self.queue, "account": self.account, "walltime": self.walltime,
            "cores": self.workers_per_job, "processes": self.workers_per_job,
            "job_cpu": self.cores, "memory": self.memory, "interface": self.interface,
            "python": self.python, "job_extra_directives": self.directives,
            "job_script_prologue": [*first, "export PYTHONFAULTHANDLER=1", *self.prologue],
            "log_directory": self.logs, "job_name": "bench-sweep", "death_timeout": ORPHANED,
            "worker_extra_args": ["--no-dashboard"],
        }

    def start(self) -> SLURMCluster:
        """Start a scheduler in this process and submit the jobs; see :meth:`check`.

        Raises
        ------
        BenchError
            ``sbatch`` refuses the job.
        """
        from dask_jobqueue import SLURMCluster

        cluster = SLURMCluster(
            **self._job(), silence_logs="critical",
            scheduler_options={"dashboard_address": ":0", "allowed_failures": 0},
        )
        try:
            # As scale() does, but waited for: a job that is refused is an error here.
            for _ in range(self.jobs):
                cluster.worker_spec.update(cluster.new_worker_spec())
            cluster.sync(cluster._correct_state)
        except RuntimeError as error:
            with contextlib.suppress(Exception):  # it trips over the jobs that never began
                cluster.close()
            # dask-jobqueue's message holds what the command wrote to standard error.
            said = str(error).partition("stderr:")[2].strip() or str(error).strip()
            raise _refused(said) from error
        return cluster


@dataclass(frozen=True)
class Jobs:
    """Jobs that were submitted: whether any is left, and what they wrote."""

    spec: ClusterSpec
    cluster: SLURMCluster

    def over(self) -> bool:
        """Whether all have ended; False where ``squeue`` does not say so."""
        ids = self._ids()
        if not ids or shutil.which("squeue") is None:
            return False
        try:
            done = subprocess.run(  # noqa: S603
                ["squeue", "--noheader", "--format=%i", "--jobs", ",".join(ids)],  # noqa: S607
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        forgotten = "Invalid job id" in done.stderr  # it has ended a while ago
        return not done.stdout.strip() and (done.returncode == 0 or forgotten)

    def words(self) -> str:
        """The last line that one of them wrote; empty if none is found."""
        for job in self._ids():
            name = f"{self.spec.logs}/bench-sweep-{job}.err" if self.spec.logs else \
                f"slurm-{job}.out"
            with contextlib.suppress(OSError):
                lines = Path(name).read_text(encoding="utf-8", errors="replace").split("\n")
                said = [line.strip() for line in lines if line.strip()]
                if said:
                    return f"{name}: " + "".join(c for c in said[-1][:300] if c.isprintable())
        return ""

    def _ids(self) -> list[str]:
        return [str(job.job_id) for job in self.cluster.workers.values() if job.job_id]


def _refused(text: str) -> BenchError:
    return BenchError(
        f"sbatch refused the job: {text}", "Check queue, account and directives of [cluster].")
