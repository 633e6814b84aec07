"""`python -m convnets.data.fetch_fashion_mnist` brings Fashion-MNIST into the user's cache, without root.

First Debian's package, since its mirrors are near and signed, then the publisher's own files. What arrives is
verified in a folder beside the cache and then moved, so that half a fetch never looks like a whole one.
"""

import argparse
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from convnets.data import fashion_mnist
from convnets.errors import ConvnetsError

PACKAGE = "dataset-fashion-mnist"

# Tried in this order; `<name>.gz` is appended.
PUBLISHER_URLS = (
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)

SILENCE_LIMIT = 30  # seconds to wait for an answer
COMMAND_LIMIT = 300  # seconds for one run of apt-get or dpkg


class FetchFailed(ConvnetsError):
    """One way to the files did not lead there, or none did."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command: says in one line where the data is, fetching it if need be.

    Returns:
      The exit status: 0 if the data is there and valid, 1 after one sentence why not, 130 if interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="python -m convnets.data.fetch_fashion_mnist",
        description="Says where Fashion-MNIST is, and fetches it if it is not there yet.",
    )
    parser.add_argument(
        "--data_dir",
        default="",
        help="where the files are or shall be (default: Debian's folder or the user's cache)",
    )
    try:
        print(f"Fashion-MNIST is in {ensure(parser.parse_args(argv).data_dir)}")
        return 0
    except ConvnetsError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted before Fashion-MNIST was complete", file=sys.stderr)
        return 130


def ensure(data_dir: str = "") -> Path:
    """The folder with four valid files: where `find` finds them, else `data_dir` or the user's cache, filled.

    Raises:
      FetchFailed: no way led to valid files, or the folder can't be written.
      CorruptData: a damaged file in Debian's folder, which is not for a fetch to write.
      InvalidValue: a file that can't be read.
    """
    destination = Path(data_dir).expanduser() if data_dir else fashion_mnist.cache_folder()
    try:
        folder = fashion_mnist.find(data_dir)
        fashion_mnist.verify(folder)
        return folder
    except fashion_mnist.DataNotFound:
        pass
    except fashion_mnist.CorruptData as error:
        if folder != destination:
            raise
        print(f"{error}; fetching it again", file=sys.stderr)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        # In the same file system as the destination, so that a move is atomic.
        with tempfile.TemporaryDirectory(prefix=".fashion-mnist-", dir=destination.parent) as staging:
            arrived = _first_valid(Path(staging))
            destination.mkdir(exist_ok=True)
            for name in _names():
                os.replace(arrived / name, destination / name)
    except OSError as error:
        raise FetchFailed(
            f"{destination} can't be filled ({error.strerror}): name a folder to write to with --data_dir"
        ) from error
    return destination


def _first_valid(staging: Path) -> Path:
    """Goes the ways to the files in turn; a folder in `staging` with all four of them, verified."""
    ways: list[tuple[str, Callable[[Path], None]]] = [(f"Debian's package {PACKAGE}", _from_debian)]
    ways += [(url, partial(_from_url, url)) for url in PUBLISHER_URLS]
    failures = []
    for number, (name, way) in enumerate(ways):
        folder = staging / str(number)
        folder.mkdir()
        print(f"Fetching Fashion-MNIST (31 MB) from {name}", file=sys.stderr)
        try:
            way(folder)
            fashion_mnist.verify(folder)
            return folder
        except (FetchFailed, fashion_mnist.CorruptData, fashion_mnist.DataNotFound) as error:
            reason = str(error).replace(f"{folder}{os.sep}", "").partition(": replace it")[0]
            failures.append(f"{name} ({reason})")
    raise FetchFailed(
        f"Fashion-MNIST could not be fetched from {', nor from '.join(failures)}: put its four idx files "
        f"into a folder and name that with --data_dir, or install the Debian package {PACKAGE}"
    )


def _names() -> list[str]:
    """The four files, small ones first: a web page in their place is noticed before the large ones."""
    files = [file for split in fashion_mnist.FILES.values() for file in split]
    return [f"{file.name}.gz" for file in sorted(files, key=lambda file: len(file.shape))]


def _from_debian(folder: Path) -> None:
    """Downloads and unpacks the package with apt-get and dpkg, neither of which needs root for that."""
    lists, cache = folder / "lists", folder / "cache"
    for needed in (lists / "partial", cache / "archives" / "partial"):
        needed.mkdir(parents=True)
    # As root, apt would drop to a user that can't enter a private folder, and warn.
    apt = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "-o", f"Acquire::http::Timeout={SILENCE_LIMIT}"]
    try:
        _run([*apt, "download", PACKAGE], folder)
    except FetchFailed:
        # The machine's package lists are absent or stale; private ones can be had without root.
        apt += ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}"]
        _run([*apt, "update"], folder)
        _run([*apt, "download", PACKAGE], folder)
    for archive in folder.glob("*.deb"):
        _run(["dpkg", "-x", str(archive), str(folder / "root")], folder)
    for file in (folder / "root" / fashion_mnist.SYSTEM_FOLDER.relative_to("/")).glob("*.gz"):
        os.replace(file, folder / file.name)


def _run(command: list[str], folder: Path) -> None:
    """Runs a command in a folder; its last complaint becomes the reason of a failure."""
    log = folder / "log"
    try:
        # To a file, since a pipe would be waited for as long as any grandchild holds it.
        with open(log, "wb") as stream:
            status = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=COMMAND_LIMIT,
            ).returncode
    except subprocess.TimeoutExpired as error:
        raise FetchFailed(f"{command[0]} took more than {COMMAND_LIMIT} seconds") from error
    except OSError as error:
        raise FetchFailed(f"{command[0]} did not start: {error.strerror}") from error
    if status:
        lines = log.read_text(errors="replace").splitlines()
        complaints = [line[2:].strip() for line in lines if line.startswith("E:")]
        raise FetchFailed(f"{command[0]}: {complaints[-1] if complaints else f'exit status {status}'}")


def _from_url(url: str, folder: Path) -> None:
    """Downloads the four files, verifying each as it arrives."""
    known = {f"{file.name}.gz": file for split in fashion_mnist.FILES.values() for file in split}
    for name in _names():
        try:
            with urllib.request.urlopen(url + name, timeout=SILENCE_LIMIT) as response, open(folder / name, "wb") as to:
                shutil.copyfileobj(response, to)
        except (OSError, http.client.HTTPException) as error:
            raise FetchFailed(f"{name}: {error}") from error
        fashion_mnist.read_idx(folder, known[name])
        print(f"  {name}: {(folder / name).stat().st_size / 1e6:.2f} MB", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
