"""What benchmarks hand back, and where it is kept."""

import json
import os
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import jax

RESULTS = Path(__file__).parent / "results"

Row = dict[str, str | int | float | None]


@dataclass(frozen=True)
class Result:
    """What a benchmark found.

    Attributes:
      title: of its table.
      rows: of its table, each with the same columns; a column's name ends with its unit where it has one.
      reading: the one line that says what the table says.
    """

    title: str
    rows: list[Row]
    reading: str


def write(name: str, result: Result, *, quick: bool, seconds: float) -> Path:
    """Keeps a result, with what it was measured on, as `results/<name>.json`."""
    devices = jax.devices()
    document = {
        "benchmark": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "jax": jax.__version__,
        "device": devices[0].device_kind,
        "devices": len(devices),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "quick": quick,
        "seconds": round(seconds, 1),
        **asdict(result),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(document, indent=2) + "\n")
    os.replace(temporary, path)
    return path


def _commit() -> str | None:
    """The commit of the code, marked if files differ from it; None outside of a repository."""

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", *arguments]
        return subprocess.run(
            command, cwd=Path(__file__).parent, check=True, capture_output=True, text=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("-changed" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
