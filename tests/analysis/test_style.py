import io
import threading
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure
from PIL import Image

from convnets.plots import style


def small_figure(title: str = "Title") -> Figure:
    figure = style.new_figure(3.0, 2.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1])
    style.dress(axes, title=title, note="one line", x="x", y="y")
    return figure


def test_a_picture_has_the_size_of_the_figure_at_130_dots_per_inch(tmp_path: Path) -> None:
    style.save(small_figure(), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (390, 260)


def test_the_same_figure_gives_the_same_bytes_and_names_no_software(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        style.save(small_figure(), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert set(picture.info) <= {"dpi"}


def test_figures_are_unknown_to_pyplot_and_can_be_drawn_in_threads(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=lambda i=i: style.save(small_figure(), tmp_path / f"{i}.png"))  # type: ignore[misc]
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert plt.get_fignums() == []
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    assert len(list(tmp_path.iterdir())) == 4


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.txt"
    style.write_atomically(path, b"old")

    def full_disk(self: Path, content: bytes) -> int:
        with io.FileIO(str(self), "w") as file:
            file.write(content[:1])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        style.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_of_the_old_file_never_sees_half_of_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    style.write_atomically(path, b"old")
    with path.open("rb") as reader:
        style.write_atomically(path, b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


def test_missing_folders_are_made(tmp_path: Path) -> None:
    style.save(small_figure(), tmp_path / "plots" / "deep" / "a.png")
    assert (tmp_path / "plots" / "deep" / "a.png").exists()


def test_another_format_than_png_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'\.png'"):
        style.save(small_figure(), tmp_path / "a.jpg")


def test_dollars_are_printed_and_start_no_formula(tmp_path: Path) -> None:
    # As a formula, this one is a syntax error.
    style.save(small_figure(r"from $5 \frac to $10"), tmp_path / "a.png")


@pytest.mark.parametrize(("text", "short"), [("shark", "shark"), ("great white shark", "great whi…"), ("", "")])
def test_long_names_end_in_an_ellipsis(text: str, short: str) -> None:
    assert style.shorten(text, 10) == short
