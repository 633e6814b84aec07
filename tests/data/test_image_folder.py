"""Folders of classes and flat folders with labels, as records."""

import json
from pathlib import Path

import pytest

from convnets.data.image_folder import LABEL_FILES, image_folder
from convnets.data.source import DataNotFound
from convnets.errors import ConvnetsError, InvalidValue

pytestmark = pytest.mark.usefixtures("user_cache")

# Sorted as Python sorts: upper case first, 10 before 9.
CLASSES = ("Zebra", "n10", "n9", "ox")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.fixture
def data(tmp_path) -> Path:
    """Two training pictures and one test picture of each class."""
    folder = tmp_path / "animals"
    for name in CLASSES:
        touch(folder, f"train/{name}/2.JPEG", f"train/{name}/below/1.png", f"val/{name}/3.jpg")
    return folder


FLAT = tuple(f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(1, 7))
FLAT_LABELS = (3, 0, 0, 2, 1, 3)


@pytest.fixture
def flat(data) -> Path:
    """As `data`, but with six test pictures in no class folder and no labels yet."""
    for name in CLASSES:
        (data / "val" / name / "3.jpg").unlink()
        (data / "val" / name).rmdir()
    touch(data / "val", *FLAT)
    return data


def refused(folder: Path | str, *parts: str, error: type[ConvnetsError] = InvalidValue, **options: str) -> None:
    for split in ("train", "test"):
        with pytest.raises(error) as caught:
            image_folder(split, data_dir=str(folder), **options)
        text = str(caught.value)
        assert "\n" not in text and ". " not in text
        for part in parts:
            assert part in text


# Class folders.


def test_a_class_is_a_folder_and_its_label_the_folders_place_among_the_sorted_names(data):
    touch(data, "train/notes.txt", "train/.cache/x.jpg", "train/ox/readme.md", "train/ox/.hidden.jpg")
    records = image_folder("train", data_dir=str(data))
    assert records.info.classes == CLASSES
    expected = [
        (data / "train" / name / file, label)
        for label, name in enumerate(CLASSES)
        for file in ("2.JPEG", "below/1.png")
    ]
    assert [(record.image, record.label) for record in records] == expected
    assert all(type(record.label) is int for record in records)
    assert [record.name for record in records] == [str(path) for path, _ in expected]
    assert records[0].boxes is None and records[0].box_labels is None and records[0].mask is None
    test = image_folder("test", data_dir=str(data))
    assert [(record.image, record.label) for record in test] == [
        (data / "val" / name / "3.jpg", label) for label, name in enumerate(CLASSES)
    ]


def test_the_state_is_the_same_elsewhere_and_another_for_other_files_or_labels(data, tmp_path):
    def sha256(folder: Path, split: str = "train") -> str:
        info = image_folder(split, data_dir=str(folder)).info
        assert json.loads(json.dumps(info.state)) == info.state
        return str(info.state["sha256"])

    train, test = (image_folder(split, data_dir=str(data)).info for split in ("train", "test"))
    for info in (train, test):
        assert (info.name, info.splits, tuple(info.fields)) == ("animals", {"train": 8, "test": 4}, ("label",))
    assert (test.state["path"], test.state["files"]) == (str(data / "val"), 4)
    before = sha256(data)
    assert before != sha256(data, "test")
    data = data.rename(tmp_path / "moved")
    assert sha256(data) == before
    (data / "train" / "ox" / "2.JPEG").rename(data / "train" / "ox" / "4.JPEG")
    renamed = sha256(data)
    touch(data, "train/a new class/1.jpg", "val/a new class/1.jpg")
    assert len({before, renamed, sha256(data)}) == 3


def test_the_test_split_is_the_first_of_val_validation_and_test(data):
    def place() -> str:
        return str(image_folder("test", data_dir=str(data)).info.state["path"])

    (data / "val").rename(data / "test")
    assert place() == str(data / "test")
    (data / "validation.csv").write_text("path,label\ntest/ox/3.jpg,ox\n")
    assert place() == str(data / "validation.csv")
    (data / "test").rename(data / "validation")
    assert place() == str(data / "validation")


def test_the_splits_may_be_elsewhere(data, tmp_path):
    (data / "train").rename(tmp_path / "learn")
    (data / "val").rename(data / "check")
    records = image_folder("train", data_dir=str(data), train=str(tmp_path / "learn"), test="check")
    assert records.info.splits == {"train": 8, "test": 4} and records[0].image == tmp_path / "learn/Zebra/2.JPEG"


def test_the_folder_may_be_relative_or_below_the_home_folder(data, monkeypatch):
    monkeypatch.chdir(data.parent)
    monkeypatch.setenv("HOME", str(data.parent))
    for given in ("animals", "~/animals", "animals/../animals/"):
        records = image_folder("train", data_dir=given)
        assert records.info.name == "animals" and records[0].image == data / "train/Zebra/2.JPEG"


# A flat folder with a file of labels.


def labels_of(folder: Path, **options: str) -> list[int | None]:
    records = image_folder("test", data_dir=str(folder), **options)
    assert [record.image for record in records] == [folder / "val" / name for name in FLAT]
    return [record.label for record in records]


def synsets() -> list[str]:
    return [CLASSES[label] for label in FLAT_LABELS]


def by_file(line: str, order: tuple[int, ...] = (4, 0, 2, 1, 5, 3)) -> str:
    """A line for each picture, not in their order."""
    return "".join(
        line.format(file=FLAT[i], stem=FLAT[i][:-5], synset=synsets()[i], number=FLAT_LABELS[i]) + "\n" for i in order
    )


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(synsets()),
        "\r\n".join([*synsets(), "", ""]),
        by_file("{file} {synset}"),
        by_file("{file}\t{synset}"),
        by_file("{file},{synset}"),
        by_file("val/{file}  {number}"),
        "ImageId,PredictionString\n" + by_file("{stem},{synset} 85 1 499 272 {synset} 1 2 3 4 "),
        "\ufefffile, class\n" + by_file("{file} , {synset}"),
    ],
)
def test_labels_of_a_flat_folder_are_read_in_their_usual_forms(flat, text):
    (flat / "labels").write_text(text, newline="")
    assert labels_of(flat, labels="labels") == list(FLAT_LABELS)


@pytest.mark.parametrize("folder", ["", "val"])
@pytest.mark.parametrize("name", LABEL_FILES)
def test_labels_of_a_flat_folder_are_found_by_their_usual_names(flat, folder, name):
    (flat / folder / name).write_text(by_file("{stem},{synset}"))
    assert labels_of(flat) == list(FLAT_LABELS)


def test_classes_whose_names_have_blanks_or_are_numbers_are_taken_by_name(tmp_path):
    names = ("10", "9", "polar bear")
    touch(tmp_path, *(f"train/{name}/1.jpg" for name in names), *(f"val/{i}.jpg" for i in range(3)))
    for text in ("polar bear\n10\n9\n", "0.jpg,polar bear\n1.jpg,10\n2.jpg,9\n", "0 polar bear\n1 10\n2 9\n"):
        (tmp_path / "val.txt").write_text(text)
        assert [record.label for record in image_folder("test", data_dir=str(tmp_path))] == [2, 0, 1]
    # Is that the first class, or one that is not there?
    (tmp_path / "val.txt").write_text("0.jpg 0\n1.jpg 10\n2.jpg 9\n")
    refused(tmp_path, "line 1 of", "'0'")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("\n".join(synsets()[:-1]), ("5 labels for 6 images",)),
        ("\n".join([*synsets(), "ox"]), ("7 labels for 6 images",)),
        ("", ("0 labels for 6 images",)),
        ("file class\n" * 2 + by_file("{file} {synset}"), ("line 2 of", "'file'")),
        ("ox\nZebra\nZebra\nn99\nn10\nox", ("line 4 of", "'n99'", "did you mean 'n9'")),
        ("3\n0\n0\n2\n1\n3\n", ("line 1 of", "the number 3")),
        (by_file("{file} {synset}").replace(" n10", " cow"), ("line 1 of", "'cow'", "'Zebra', 'n10', 'n9' and 1 more")),
        (by_file("{file} {number}").replace(" 3", " 4"), ("line 2 of", "'4'")),
        (by_file("{file} {synset}") + "lost.jpg ox\n", ("line 7 of", "'lost.jpg'", "6 images")),
        (by_file("{file} {synset}") + f"{FLAT[0]} ox\n", ("line 7 of", FLAT[0], "second time")),
        (by_file("{file} {synset}", (5, 3, 0)), ("3 of the 6 images", FLAT[1])),
        (by_file("{file} {synset}") + f"{FLAT[0]}\n", ("line 7 of", "no class")),
    ],
)
def test_labels_that_do_not_fit_the_flat_folder_are_refused(flat, text, parts):
    (flat / "val.txt").write_text(text)
    refused(flat, str(flat / "val.txt"), *parts)


def test_labels_of_no_image_in_particular_or_that_are_no_text_are_refused(flat):
    touch(flat, f"val/{FLAT[0][:-5]}.png")
    (flat / "val.txt").write_text(by_file("{stem} {synset}"))
    refused(flat, "line 2 of", f"'{FLAT[0][:-5]}'", "none of the 7 images")
    (flat / "val.txt").write_bytes(b"\xff\xfe\xff")
    refused(flat, str(flat / "val.txt"), "UTF-8")


def test_a_flat_folder_without_labels_is_refused(flat):
    refused(flat, str(flat / "val"), "val_labels.txt", "data.labels", error=DataNotFound)
    refused(flat, str(flat / "here.txt"), error=DataNotFound, labels="here.txt")


def test_labels_for_a_split_that_has_its_own_are_refused(data):
    touch(data, "val.txt")
    refused(data, "val.txt", str(data / "val"), labels="val.txt")
    (data / "list.csv").write_text("path,label\nval/ox/3.jpg,ox\n")
    refused(data, "val.txt", str(data / "list.csv"), labels="val.txt", test="list.csv")


# Names that are shown.


@pytest.mark.parametrize("file", ["LOC_synset_mapping.txt", "synset_words.txt"])
def test_synsets_are_shown_by_their_first_name_and_keep_their_order(tmp_path, file):
    synset = {"n02012849": "crane", "n03126707": "crane", "n01440764": "tench, Tinca tinca", "n02095314": None}
    for name in synset:
        touch(tmp_path, f"train/{name}/1.jpg", f"val/{name}/1.jpg")
    lines = [f"{name} {words}" for name, words in synset.items() if words]
    (tmp_path / file).write_text("\n".join([*lines, "n00000000 not here, not at all"]))
    records = image_folder("train", data_dir=str(tmp_path))
    assert records.info.classes == ("tench", "crane (n02012849)", "n02095314", "crane (n03126707)")
    assert records[1].image == tmp_path / "train/n02012849/1.jpg" and records[1].label == 1


# What is refused.


def test_a_missing_data_folder_is_refused(tmp_path):
    refused("", "data.data_dir is empty")
    refused(tmp_path / "nowhere", str(tmp_path / "nowhere"), "not there", error=DataNotFound)
    (tmp_path / "file").touch()
    refused(tmp_path / "file", str(tmp_path / "file"), "is a file")


def test_missing_splits_are_refused(data):
    refused(data.parent, str(data.parent), "no train (a folder, .csv or .json)", "data.train", error=DataNotFound)
    (data / "val").rename(data / "later")
    refused(data, str(data), "no val or validation or test (a", "data.test", error=DataNotFound)
    refused(data, str(data / "nowhere"), "data.train", train="nowhere", error=DataNotFound)
    refused(data, str(data / "nowhere"), "data.test", test="nowhere", error=DataNotFound)
    touch(data, "list.txt")
    refused(data, str(data / "list.txt"), ".csv or a .json", test="list.txt")


def test_folders_without_images_are_refused(tmp_path):
    touch(tmp_path, "train/ox/1.txt", "val/ox/1.jpg")
    refused(tmp_path, str(tmp_path / "train"), "has no images", error=DataNotFound)
    touch(tmp_path, "train/1.jpg")
    (tmp_path / "train" / "ox" / "1.txt").unlink()
    (tmp_path / "train" / "ox").rmdir()
    refused(tmp_path, str(tmp_path / "train"), "has no class folders")


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_class_without_images_and_an_image_without_class_are_refused_by_name(data, split):
    touch(data, f"{split}/n9.jpg")
    refused(data, str(data / split / "n9.jpg"), "no class")
    for file in (data / split / "n9").rglob("*.*"):
        file.unlink()
    (data / split / "n9.jpg").unlink()
    refused(data, "the class folder 'n9' in", str(data / split), "has no images")


def test_a_test_split_with_other_classes_is_refused_with_up_to_three_of_them(data):
    touch(data, "train/elk/1.jpg")
    refused(data, str(data / "val"), str(data / "train"), "but lacks 'elk': ")
    touch(data, "val/elk/1.jpg", "val/cow/1.jpg")
    refused(data, str(data / "val"), str(data / "train"), "has also 'cow'")
    touch(data, *(f"train/{name}/1.jpg" for name in "abcde"))
    refused(data, "lacks 'a', 'b', 'c' and 2 more and has also 'cow'")


# Folders and lists together.


def test_a_list_may_be_tested_with_a_folder_and_a_folder_with_a_list(data):
    (data / "list.csv").write_text("path,label\n" + "".join(f"train/{name}/2.JPEG,{name}\n" for name in CLASSES[::-1]))
    by_list = image_folder("test", data_dir=str(data), train="list.csv")
    by_folder = image_folder("test", data_dir=str(data), test="list.csv")
    assert [record.label for record in by_list] == [0, 1, 2, 3]
    assert [record.label for record in by_folder] == [3, 2, 1, 0]
    assert by_list.info.classes == by_folder.info.classes == CLASSES
    assert (by_list.info.splits, by_folder.info.splits) == ({"train": 4, "test": 4}, {"train": 8, "test": 4})
