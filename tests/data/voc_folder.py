"""A small folder in PASCAL VOC's layout, for tests."""

from pathlib import Path

import numpy as np

from tests.data.examples import noise, write

SIZES = {"2007_000032": (30, 40), "2007_000039": (33, 40), "2007_000063": (40, 30), "2007_000068": (20, 25)}
LISTS = {"train": ["2007_000039", "2007_000032"], "val": ["2007_000063"]}
PALETTE = noise(256, 3, 1)[..., 0]


def mask(name: str) -> np.ndarray:
    """Levels of VOC's 21 classes, and void."""
    levels = noise(*SIZES[name], 1, seed=int(name[-2:]))[..., 0] % 22
    return np.where(levels == 21, 255, levels).astype(np.uint8)


def annotation(objects: list[tuple]) -> str:
    """Of objects (name, xmin, ymin, xmax, ymax), the first with a part as VOC's layout task has them."""
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    text = ""
    for i, (name, *edges) in enumerate(objects):
        box = "".join(
            f"<{key}>{edge}</{key}>" for key, edge in zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True)
        )
        text += f"<object><name>{name}</name><difficult>{i}</difficult><bndbox>{box}</bndbox>{part}</object>"
    return f"<annotation><folder>VOC2012</folder>{text}</annotation>"


def write_voc(folder: Path, masks: bool = True, boxes: bool = True) -> Path:
    """Four pictures, of which three are in lists; the last has no mask."""
    for name, size in SIZES.items():
        write(folder / "JPEGImages" / f"{name}.jpg", noise(*size))
        if masks and name != "2007_000068":
            write(folder / "SegmentationClass" / f"{name}.png", mask(name), PALETTE)
        if boxes:
            path = folder / "Annotations" / f"{name}.xml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(annotation([("dog", 1, 2, size[1], size[0]), ("person", 3, 4, 3, 4)]))
    for task in ("Segmentation", "Main"):
        for split, names in LISTS.items():
            path = folder / "ImageSets" / task / f"{split}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{name}\n" for name in names))
    return folder
