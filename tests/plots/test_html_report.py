import base64
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from convnets.plots.html_report import write_report

VOID = {"meta", "img", "link", "br"}


class Page(HTMLParser):
    """Collects the elements of a page and checks on the way that every one is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "curves.png"
    Image.new("RGB", (30, 20), "red").save(path)
    return path


def report(tmp_path: Path, **changes: Any) -> str:
    arguments: dict[str, Any] = {
        "title": "LeNet on Fashion-MNIST",
        "facts": {"top-1 error": "9.87 %"},
        "tables": [("Evaluations", ("split", "top-1"), [("validation", "90.3 %"), ("test", "90.1 %")])],
        "pictures": [],
        "config": {"model": {"name": "lenet5", "sizes": (120, 84)}, "seed": 0},
        "notes": ["One seed only."],
    }
    path = tmp_path / "report.html"
    write_report(path, **(arguments | changes))
    return path.read_text(encoding="utf-8")


def test_everything_given_is_in_the_page(tmp_path: Path, picture: Path) -> None:
    page = Page(report(tmp_path, pictures=[("Learning curves", picture)]))
    assert page.texts["h1"] == page.texts["title"] == ["LeNet on Fashion-MNIST"]
    assert (page.texts["dt"], page.texts["dd"]) == (["top-1 error"], ["9.87 %"])
    assert page.texts["th"] == ["split", "top-1"]
    assert page.texts["td"] == ["validation", "90.3 %", "test", "90.1 %"]
    assert page.texts["figcaption"] == ["Learning curves"]
    assert page.texts["li"] == ["One seed only."]
    [config] = page.texts["pre"]
    assert json.loads(config) == {"model": {"name": "lenet5", "sizes": [120, 84]}, "seed": 0}


def test_pictures_are_embedded_with_their_size_and_nothing_is_asked_from_the_network(tmp_path, picture) -> None:
    text = report(tmp_path, pictures=[("Curves", picture)])
    page = Page(text)
    [image] = page.named("img")
    assert (image["width"], image["height"], image["alt"]) == ("30", "20", "Curves")
    kind, data = str(image["src"]).split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == picture.read_bytes()
    assert "http:" not in text and "https:" not in text and "url(" not in text and "@import" not in text
    assert not page.named("script") and not page.named("link") and not page.named("iframe")
    assert any("default-src 'none'" in str(meta.get("content")) for meta in page.named("meta"))


def test_markup_in_any_text_is_shown_and_not_run(tmp_path: Path, picture: Path) -> None:
    evil = "\"'><script>alert(1)</script>&amp;"
    page = Page(
        report(
            tmp_path,
            title=evil,
            facts={evil: evil},
            tables=[(evil, (evil,), [(evil,)])],
            pictures=[(evil, picture)],
            config={evil: {evil: [evil]}},
            notes=[evil],
        )
    )
    assert not page.named("script")
    for tag in ("title", "h1", "dt", "dd", "th", "td", "figcaption", "li"):
        assert page.texts[tag] == [evil], tag
    assert page.named("img")[0]["alt"] == evil
    assert json.loads("".join(page.texts["pre"])) == {evil: {evil: [evil]}}


def test_columns_of_numbers_are_marked_and_columns_of_words_are_not(tmp_path: Path) -> None:
    rows = [("conv1", "1,234", "0.5 ± 0.1", "3"), ("conv2", "-1.5e-3", "98.3 %", "three")]
    page = Page(report(tmp_path, tables=[("Layers", ("layer", "a", "b", "c"), rows)]))
    assert [cell.get("class") for cell in page.named("th")] == [None, "number", "number", None]


def test_empty_parts_are_left_out(tmp_path: Path) -> None:
    page = Page(report(tmp_path, facts={}, tables=[], config={}, notes=[]))
    assert not {"dl", "ul", "table", "details", "figure", "h2"} & {tag for tag, _ in page.elements}
