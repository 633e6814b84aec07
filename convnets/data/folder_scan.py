"""Image files: those that a user names, and those below a folder, whose list is kept until a directory changes."""

import hashlib
import io
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convnets.data.decoding import SUFFIXES
from convnets.data.source import DataNotFound
from convnets.errors import InvalidValue
from convnets.files import cache_folder, write_atomically
from convnets.progress import Bar, data_bar

# A directory that changes twice within one tick of the file system's clock shows the second change by nothing.
# The coarsest clock in use, FAT's, ticks every two seconds.
CLOCK_TICK = 2_000_000_000  # ns


class Paths:
    """Many paths in one piece of memory: less than half of what a list of them takes, and quick to pickle.

    Args:
      text: the paths as the file system has them, each followed by NUL, which no path has in it.
    """

    def __init__(self, text: bytes):
        self.text = text
        self._ends = np.flatnonzero(np.frombuffer(text, np.uint8) == 0)

    @classmethod
    def of(cls, paths: Iterable[str]) -> "Paths":
        """The paths, in their order."""
        return cls(b"".join(os.fsencode(path) + b"\0" for path in paths))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, i: int, /) -> str:
        """The path at place `i`, `0 <= i < len`."""
        start = int(self._ends[i - 1]) + 1 if i else 0
        return os.fsdecode(self.text[start : self._ends[i]])

    def __iter__(self) -> Iterator[str]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True)
class FolderScan:
    """What is below a folder, without hidden files and folders (`.name`).

    Attributes:
      folder: the folder itself.
      images: its images, relative to it: files with one of `SUFFIXES`, in upper or lower case. They are sorted as
        paths are, part by part, so that the images of one folder lie side by side.
      folders: the folders below it, relative to it, with and without images, in the same order.
    """

    folder: Path
    images: Paths
    folders: Paths


def find_images(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The image files that `paths` name, in their order; a folder stands for all below it, as `images_below`.

    Raises:
      InvalidValue: no path, a missing one, a given file that has none of `SUFFIXES`, or as `images_below`.
    """
    if not paths:
        raise InvalidValue("no image was given: name at least one file or folder")
    found: list[Path] = []
    for path in map(Path, paths):
        if os.path.isdir(path):
            found += [path / image for image in images_below(path).images]
        elif not os.path.isfile(path):
            raise InvalidValue(f"{path} is not there: name an image file or a folder of them")
        elif path.suffix.lower() not in SUFFIXES:
            raise InvalidValue(f"{path} must have the suffix of an image, one of {' '.join(SUFFIXES)}")
        else:
            found.append(path)
    return found


def data_folder(data_dir: str) -> Path:
    """The user's folder of images, absolute.

    Raises:
      InvalidValue: none is named, or a file.
      DataNotFound: it is not there.
    """
    if not data_dir:
        raise InvalidValue("data.data_dir is empty: name the folder that has the images with --data_dir")
    folder = Path(os.path.abspath(os.path.expanduser(data_dir)))
    if os.path.isdir(folder):
        return folder
    what, error = ("is a file", InvalidValue) if os.path.exists(folder) else ("is not there", DataNotFound)
    raise error(f"{folder} {what}: name the folder that has the images with --data_dir")


def images_below(folder: Path) -> FolderScan:
    """As `scan_folder`, of a folder that has images.

    Raises:
      DataNotFound: there are none.
      InvalidValue: as `scan_folder`.
    """
    scan = scan_folder(folder)
    if not len(scan.images):
        raise DataNotFound(f"{folder} has no images in it or below it ({' '.join(SUFFIXES)}): put them there")
    return scan


def scan_folder(folder: Path) -> FolderScan:
    """Lists the images below a folder; links to files are followed.

    The listing is kept in the user's cache with the time of every directory's last change. It is used again if none
    of them has another time now: a file that is added, removed or renamed changes its directory's. Files whose
    content alone has changed are not noticed, and need not be.

    Raises:
      InvalidValue: a directory can't be listed, or a link leads to a folder or, named as an image, nowhere.
    """
    # The suffixes are part of the key, so that a version that knows more of them scans anew.
    key = hashlib.sha256(os.fsencode("\0".join((os.path.realpath(folder), *SUFFIXES)))).hexdigest()[:32]
    kept = cache_folder("folders") / f"{key}.npz"
    if scan := _remembered(folder, kept):
        return scan
    began = time.time_ns()
    with data_bar(f"files of {folder}") as bar:
        images, folders, times = _walk(folder, bar)
    scan = FolderScan(folder, images, folders)
    if max(changed for changed, _ in times) < began - CLOCK_TICK:
        _remember(scan, times, kept)
    return scan


def _walk(top: Path, bar: Bar) -> tuple[Paths, Paths, list[tuple[int, int]]]:
    """Relative paths of the images and folders, and the times of `top` and the folders."""
    # Packed as they are found: as strings, ImageNet's would take 110 MB more.
    images, folders = bytearray(), bytearray()
    times: list[tuple[int, int]] = []
    found = 0
    waiting = [("", True)]  # the next one last
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            images += os.fsencode(path) + b"\0"
            continue
        if path:
            folders += os.fsencode(path) + b"\0"
        try:
            # Before the listing: what changes meanwhile then has a later time than the one kept.
            times.append(_changed(top / path))
            with os.scandir(top / path) as entries:
                listed = sorted((entry.name, entry.is_dir()) for entry in entries if _counts(entry))
        except OSError as error:
            raise InvalidValue(f"{top / path} can't be listed ({error.strerror}): check its permissions") from error
        found += sum(not is_folder for _, is_folder in listed)
        waiting += [(f"{path}/{name}" if path else name, is_folder) for name, is_folder in reversed(listed)]
        bar.update(found)
    return Paths(bytes(images)), Paths(bytes(folders)), times


def _changed(folder: Path) -> tuple[int, int]:
    """When entries were last added to a folder or removed, and when its times were last set, in nanoseconds.

    Tools that copy set the first back; the second nobody can.
    """
    status = os.stat(folder)
    return status.st_mtime_ns, status.st_ctime_ns


def _counts(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a file that is an image."""
    if entry.name.startswith("."):
        return False
    if entry.is_dir() and not entry.is_symlink():
        return True
    if entry.is_dir():
        raise InvalidValue(f"{entry.path} is a link to a folder, which is not followed: move the folder there")
    if not entry.name.lower().endswith(SUFFIXES):
        return False
    if entry.is_symlink() and not os.path.exists(entry.path):
        raise InvalidValue(f"{entry.path} is a link to a file that is not there: fetch the file or remove the link")
    return entry.is_file()


def _remember(scan: FolderScan, times: list[tuple[int, int]], kept: Path) -> None:
    content = io.BytesIO()
    images, folders = (np.frombuffer(paths.text, np.uint8) for paths in (scan.images, scan.folders))
    np.savez_compressed(content, images=images, folders=folders, times=np.array(times, np.int64))
    # A scan that can't be kept is only slower next time.
    with suppress(OSError):
        write_atomically(kept, content.getvalue())


def _remembered(folder: Path, kept: Path) -> FolderScan | None:
    try:
        with np.load(io.BytesIO(kept.read_bytes()), allow_pickle=False) as arrays:
            images, folders = (Paths(arrays[name].tobytes()) for name in ("images", "folders"))
            times = arrays["times"].tolist()
        now = [list(_changed(folder / path)) for path in ("", *folders)]
    # NumPy and zipfile answer damaged files with many kinds of errors, and a scan does without the file.
    except Exception:
        return None
    return FolderScan(folder, images, folders) if now == times else None
