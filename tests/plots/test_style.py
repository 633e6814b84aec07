"""How pictures are written, and the artists that they share."""

import threading
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from convnets.files import write_atomically
from convnets.plots import style


def small_figure(title: str = "Title") -> Figure:
    figure = style.new_figure(3.0, 2.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1])
    style.dress(axes, title=title, note="one line", x="x", y="y")
    return figure


def test_a_picture_has_the_size_of_the_figure_the_same_bytes_each_time_and_names_no_software(tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "deep" / "b.png"]
    for path in paths:
        style.save(small_figure(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with Image.open(paths[0]) as picture:
        assert picture.size == (390, 260)
        assert set(picture.info) <= {"dpi"}


def test_figures_are_unknown_to_pyplot_and_can_be_drawn_in_threads(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    threads = [threading.Thread(target=lambda path=path: style.save(small_figure(), path)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert plt.get_fignums() == []
    assert len({path.read_bytes() for path in paths}) == 1


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.txt"
    write_atomically(path, b"old")

    def full_disk(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:1])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with path.open("rb") as reader, pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path] and reader.closed


def test_dollars_are_printed_and_start_no_formula(tmp_path: Path) -> None:
    # As a formula, this one is a syntax error.
    style.save(small_figure(r"from $5 \frac to $10"), tmp_path / "a.png")


def test_long_names_end_in_an_ellipsis() -> None:
    assert [style.shorten(text, 10) for text in ("shark", "great white shark", "")] == ["shark", "great whi…", ""]


def test_bars_have_their_lengths_the_first_on_top_and_none_where_there_is_no_number() -> None:
    axes = small_figure().axes[0]
    style.draw_bars(axes, [0.9, np.nan, 0.2], ["90 %", "none", "20 %"], names=["a$b$", "b", "c"])
    assert [bar.get_width() for bar in axes.patches] == [0.9, 0.0, 0.2] and axes.yaxis_inverted()
    assert [text.get_text() for text in axes.texts[1:]] == ["90 %", "none", "20 %"]
    assert [text.get_ha() for text in axes.texts[1:]] == ["right", "left", "left"]


def test_a_box_is_drawn_around_its_pixels_and_an_empty_one_is_not() -> None:
    axes = small_figure().axes[0]
    style.draw_box(axes, (2, 3, 6, 8), style.BLUE)
    style.draw_box(axes, (0, 0, 0, 0), style.BLUE)
    [box] = axes.patches
    assert (box.get_xy(), box.get_width(), box.get_height()) == ((2.5, 1.5), 5, 4)
