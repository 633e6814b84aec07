"""A worker process, as its parent sees it."""

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from benchmarks.side_by_side.cases import Case
from convnets.errors import ConvnetsError

ROOT = Path(__file__).parents[2]

OURS = {"compiled": "onednn", "xla": "xla"}
"""This library's contestants, and what CONVNETS_KERNELS is for them."""

THEIRS = ("eager", "torch.compile")
"""PyTorch's."""

CONTESTANTS = (*OURS, *THEIRS)

MEMORY = ("kept", "returned")
"""What becomes of memory that a process frees: it stays with the process, or as the C library has it by default."""


class WorkerFailed(ConvnetsError):
    """A contestant that can't do a case, and why."""


class Worker:
    """A process with one contestant that has been called once; a context manager that ends it.

    Args:
      contestant: one of `CONTESTANTS`.
      memory: one of `MEMORY`.

    Attributes:
      first: seconds of the first call, with tracing and compilation.
      loss: of that call, in nats.

    Raises:
      WorkerFailed: on entering, or when it is run.
    """

    def __init__(self, contestant: str, case: Case, memory: str):
        self._contestant, self._case, self._memory = contestant, case, memory

    def __enter__(self) -> "Worker":
        self._scratch = tempfile.TemporaryDirectory(prefix="side-by-side-")
        case = self._case
        module = "benchmarks.side_by_side.worker"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, self._contestant, case.network, case.mode, case.dtype, self._memory],
            cwd=ROOT,
            env=self._environment(),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            self.first = self._answer()["seconds"]
            self.loss = self._answer()["loss"]
            if not math.isfinite(self.loss):
                raise WorkerFailed(f"the loss of the first step is {self.loss}")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._scratch.cleanup()

    def run(self, calls: int) -> dict[str, float]:
        """Has it called so often: `seconds`, `processor` (seconds over all threads) and `peak` (bytes)."""
        assert self._process.stdin is not None
        print(calls, file=self._process.stdin, flush=True)
        return self._answer()

    def _environment(self) -> dict[str, str]:
        """Ours; but what the first call takes is measured, so nothing may be compiled already."""
        environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_COMPILATION_CACHE": "false",
            "TORCHINDUCTOR_CACHE_DIR": self._scratch.name,
        }
        if self._contestant in OURS:
            environment["CONVNETS_KERNELS"] = OURS[self._contestant]
        return environment

    def _answer(self) -> dict[str, float]:
        """The next line that the process says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(f"the process died with status {self._process.wait()}")
        answer = json.loads(line)
        if "failure" in answer:
            raise WorkerFailed(answer["failure"])
        return {name: float(value) for name, value in answer.items()}
