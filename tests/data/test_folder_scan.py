"""Listing the images below a folder, and remembering the list until a directory changes."""

import os
import pickle
import shutil
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from convnets.data import folder_scan
from convnets.data.decoding import SUFFIXES
from convnets.data.folder_scan import Paths, find_images, scan_folder
from convnets.errors import ConvnetsError, InvalidValue

pytestmark = pytest.mark.usefixtures("user_cache")

IMAGES = ("a/1.jpg", "a/2.PNG", "a/deep/er/3.webp", "a-b/4.JPEG", "b/5.gif", "b/6.bmp", "z.jpeg")
OTHERS = (".hidden.jpg", ".hidden/7.jpg", "a/notes.txt", "b/jpg", "empty/none.csv")


@pytest.fixture
def cache(user_cache) -> Path:
    return user_cache / "folders"


@pytest.fixture
def top(tmp_path) -> Path:
    """A folder that has not been touched for a while."""
    folder = tmp_path / "pictures"
    for name in IMAGES + OTHERS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    age(folder)
    return folder


def age(folder: Path, seconds: float = 100) -> None:
    """Moves the times of all directories back, each by as much."""
    for parent, _, _ in os.walk(folder):
        changed = os.stat(parent).st_mtime_ns - int(seconds * 1e9)
        os.utime(parent, ns=(changed, changed))


def forbid_listing(monkeypatch) -> None:
    monkeypatch.setattr(os, "scandir", lambda path: pytest.fail(f"listed {path}"))


def check_sentence(error: pytest.ExceptionInfo[Exception], *parts: str) -> None:
    text = str(error.value)
    assert "\n" not in text and ". " not in text
    for part in parts:
        assert part in text


def test_images_are_found_below_by_their_suffix_and_sorted_as_paths_are(top):
    scan = scan_folder(top)
    assert list(scan.images) == list(IMAGES)
    assert list(scan.folders) == ["a", "a/deep", "a/deep/er", "a-b", "b", "empty"]
    assert len(scan.images) == 7 and scan.images[6] == "z.jpeg" and scan.images[0] == "a/1.jpg"


def test_links_to_files_are_followed(top):
    (top / "b" / "linked.jpg").symlink_to(top / "a" / "notes.txt")
    assert sorted({*scan_folder(top).images} - {*IMAGES}) == ["b/linked.jpg"]


@pytest.mark.parametrize(
    ("name", "target", "said"),
    [("c", "a", "a folder"), ("c.jpg", "a", "a folder"), ("c.jpg", "nowhere", "a file that")],
)
def test_links_to_folders_and_lost_files_are_refused_so_that_no_class_is_lost_unseen(top, name, target, said):
    (top / name).symlink_to(top / target)
    with pytest.raises(InvalidValue) as error:
        scan_folder(top)
    check_sentence(error, str(top / name), f"is a link to {said}")


def test_users_name_files_in_any_order_and_folders_of_them(top):
    last = top / "b" / "5.gif"
    assert find_images([last, top / "a"]) == [
        last,
        *(top / "a" / name for name in ("1.jpg", "2.PNG", "deep/er/3.webp")),
    ]
    assert find_images([str(last)]) == [last]


@pytest.mark.parametrize("name", ["missing.png", "missing/", "a/notes.txt", "empty", "b/jpg", ""])
def test_paths_without_images_are_refused_by_name(top, name):
    with pytest.raises(ConvnetsError) as error:
        find_images([top / "z.jpeg", top / name] if name else [])
    check_sentence(error, str(top / name) if name else "no image was given")


def test_a_folder_whose_time_was_set_back_is_listed_again(top, cache):
    old = time.time_ns() - 10**11
    for folder in (top, *(path for path in top.rglob("*") if path.is_dir())):
        os.utime(folder, ns=(old, old))
    before = list(scan_folder(top).images)
    assert list(cache.iterdir())
    (top / "a" / "new.jpg").write_bytes(b"")
    os.utime(top / "a", ns=(old, old))
    assert set(scan_folder(top).images) - set(before) == {"a/new.jpg"}


def test_the_folder_may_itself_be_a_link(top, tmp_path):
    (tmp_path / "link").symlink_to(top)
    assert list(scan_folder(tmp_path / "link").images) == list(IMAGES)


def test_an_unchanged_folder_is_not_listed_again(top, monkeypatch):
    first = scan_folder(top)
    forbid_listing(monkeypatch)
    again = scan_folder(top)
    assert (list(again.images), list(again.folders)) == (list(first.images), list(first.folders))


def test_other_folders_and_other_suffixes_have_lists_of_their_own(top, monkeypatch):
    assert len(scan_folder(top).images) == 7
    assert list(scan_folder(top / "a").images) == ["1.jpg", "2.PNG", "deep/er/3.webp"]
    monkeypatch.setattr(folder_scan, "SUFFIXES", (".txt",))
    assert list(scan_folder(top).images) == ["a/notes.txt"]


def add(top: Path) -> None:
    (top / "a" / "deep" / "er" / "0.jpg").touch()


def remove(top: Path) -> None:
    (top / "a" / "1.jpg").unlink()


def rename(top: Path) -> None:
    (top / "b" / "5.gif").rename(top / "b" / "50.gif")


def add_folder(top: Path) -> None:
    (top / "new").mkdir()


def remove_folder(top: Path) -> None:
    shutil.rmtree(top / "a-b")


def fill_empty_folder(top: Path) -> None:
    (top / "empty" / "first.png").touch()


@pytest.mark.parametrize("change", [add, remove, rename, add_folder, remove_folder, fill_empty_folder])
def test_a_change_anywhere_below_is_noticed(top, change):
    before = scan_folder(top)
    change(top)
    age(top, 0)
    after = scan_folder(top)
    visible = (path for path in top.rglob("[!.]*") if ".hidden" not in path.parts)
    assert [top / path for path in after.images] == sorted(p for p in visible if p.suffix.lower() in SUFFIXES)
    assert (list(before.images), list(before.folders)) != (list(after.images), list(after.folders))


def test_a_change_while_the_folder_is_listed_is_noticed_the_next_time(top, monkeypatch):
    scandir = os.scandir

    def list_then_add(path):
        with scandir(path) as entries:
            listed = list(entries)
        if Path(path) == top / "b":
            (top / "b" / "late.jpg").touch()
            os.utime(top / "b", (0, time.time() - 50))
        return nullcontext(listed)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", list_then_add)
        assert "b/late.jpg" not in list(scan_folder(top).images)
    assert "b/late.jpg" in list(scan_folder(top).images)


def test_a_folder_that_has_just_changed_is_not_remembered(top, cache):
    (top / "a" / "new.jpg").touch()
    changed = os.stat(top / "a").st_mtime_ns
    assert "a/new.jpg" in list(scan_folder(top).images)
    assert not cache.exists()
    # Within one tick of the clock, the time stays.
    (top / "a" / "newer.jpg").touch()
    os.utime(top / "a", ns=(changed, changed))
    assert "a/newer.jpg" in list(scan_folder(top).images)


@pytest.mark.parametrize("damage", [b"", b"garbage", slice(0, 100), slice(0, -30), slice(40, None)])
def test_a_damaged_list_is_made_anew(top, cache, damage, monkeypatch):
    scan_folder(top)
    (kept,) = cache.iterdir()
    content = kept.read_bytes()
    kept.write_bytes(damage if isinstance(damage, bytes) else content[damage])
    assert list(scan_folder(top).images) == list(IMAGES)
    forbid_listing(monkeypatch)
    assert list(scan_folder(top).images) == list(IMAGES)


def test_flipped_bits_in_the_list_are_noticed(top, cache):
    scan_folder(top)
    (kept,) = cache.iterdir()
    content = bytearray(kept.read_bytes())
    for place in range(60, len(content), 41):
        damaged = content.copy()
        damaged[place] ^= 0x10
        kept.write_bytes(damaged)
        assert list(scan_folder(top).images) == list(IMAGES)


def test_a_cache_that_cannot_be_written_is_done_without(top, tmp_path):
    (tmp_path / "user").write_text("a file where the folder should be")
    for _ in range(2):
        assert list(scan_folder(top).images) == list(IMAGES)


def test_a_folder_that_cannot_be_listed_is_refused_by_name(top, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InvalidValue) as error:
        scan_folder(top)
    check_sentence(error, str(top / "a" / "deep"), "Permission denied", "check its permissions")


def test_names_of_any_bytes_come_back_as_they_were(tmp_path):
    names = [b"new\nline.jpg", "größer.jpg".encode(), b"latin-\xe9.jpg", b"two  blanks.jpg"]
    (tmp_path / "odd").mkdir()
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path / "odd") + b"/" + name)).touch()
    age(tmp_path / "odd")
    for _ in range(2):
        scan = scan_folder(tmp_path / "odd")
        assert sorted(map(os.fsencode, scan.images)) == sorted(names)
        assert all((tmp_path / "odd" / path).is_file() for path in scan.images)


def test_paths_of_imagenets_length_take_less_than_fifty_bytes_each_also_when_sent_to_another_process():
    names = [f"n{i // 1300:08d}/n{i // 1300:08d}_{i % 1300}.JPEG" for i in range(10_000)]
    paths = Paths("".join(f"{name}\0" for name in names).encode())
    sent = pickle.dumps(paths)
    assert len(sent) < 50 * len(names)
    assert list(pickle.loads(sent)) == names and len(paths) == len(names)
