"""The input pipeline on a folder of JPEGs, beside a PyTorch DataLoader and the bare decoder, in CPU time per image."""

import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from benchmarks.measuring import Result, Row
from benchmarks.photographs import write_folder
from convnets.data import create
from convnets.data.pipeline import TrainingBatches, read_ahead
from convnets.data.source import Source

IMAGES = 400
BATCH = 50
THREADS = 2
SIZE, SHORT_SIDES = 224, (256, 480)
"""The ResNet training transform: the short side brought to one of these, a part of 224 x 224, mirrored or not."""

Contestant = Callable[[], None]


def decoders() -> dict[str, Callable[[bytes], Any]]:
    """The decoders that are installed, by name; the first is the fastest that was found, and the limit."""
    found: dict[str, Callable[[bytes], Any]] = {
        "simplejpeg": simplejpeg.decode_jpeg,
        "Pillow": lambda content: np.asarray(Image.open(io.BytesIO(content))),
        "OpenCV": lambda content: cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB),
    }
    # Its library is the machine's own, and has to be there.
    with contextlib.suppress(ImportError, RuntimeError, OSError):
        turbojpeg: Any = import_module("turbojpeg")
        library = turbojpeg.TurboJPEG()
        found["PyTurboJPEG"] = lambda content: library.decode(content, pixel_format=turbojpeg.TJPF_RGB)
    return found


def decoding(files: list[Path], decode: Callable[[bytes], Any]) -> Contestant:
    """Every file read and decoded, and no more."""
    pool = ThreadPoolExecutor(THREADS)

    def epoch() -> None:
        for _ in pool.map(lambda file: decode(file.read_bytes()), files):
            pass

    return epoch


def ours(source: Source, *, mirrored: bool = False) -> Contestant:
    """An epoch of training batches in the host's memory, as the loop gets them.

    Args:
      mirrored: whether half of them are mirrored on the host too, what training does on the device.
    """

    def epoch() -> None:
        steps = len(source) // BATCH
        stream = read_ahead(TrainingBatches(source, batch_size=BATCH, seed=0, steps=steps), threads=THREADS)
        for batch in stream:
            if mirrored:
                for image in batch["image"][::2]:
                    cv2.flip(image, 1, dst=image)
        stream.close()

    return epoch


def dataloader(files: list[Path], *, tensors: bool) -> Contestant | None:
    """PyTorch's DataLoader over Pillow, in this process: handing over between processes is not counted.

    Args:
      tensors: whether images become normalized float tensors, channels first, as in torchvision's references; else they
        stay uint8.
    """
    try:
        torch: Any = import_module("torch")
    except ImportError:
        return None
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    random = np.random.default_rng(0)

    class Photographs:
        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, i: int) -> Any:
            # What torchvision's Resize, RandomCrop and RandomHorizontalFlip do to a picture of Pillow's.
            image = Image.open(files[i]).convert("RGB")
            short = int(random.integers(SHORT_SIDES[0], SHORT_SIDES[1] + 1))
            scale = short / min(image.size)
            image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
            left, top = (int(random.integers(0, side - SIZE + 1)) for side in image.size)
            image = image.crop((left, top, left + SIZE, top + SIZE))
            if random.random() < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            pixels = torch.from_numpy(np.array(image))
            if not tensors:
                return pixels
            return (pixels.permute(2, 0, 1).contiguous().float() / 255 - mean[:, None, None]) / deviation[:, None, None]

    loader = torch.utils.data.DataLoader(Photographs(), batch_size=BATCH, shuffle=True)

    def epoch() -> None:
        # As a DataLoader's worker processes have it.
        torch.set_num_threads(1)
        for _ in loader:
            pass

    return epoch


def run(quick: bool) -> Result:
    """400 JPEGs of about 500 x 375, quality 90."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_folder(folder, images=IMAGES)
        files = sorted((folder / "train").rglob("*.jpg"))
        size = sum(file.stat().st_size for file in files) / len(files) / 1024
        options = {"data_dir": str(folder), "size": SIZE, "scale": tuple(side / SIZE for side in SHORT_SIDES)}
        source = create("image_folder", "train", **options)
        random_shape = create("image_folder", "train", **options, crop="random_shape")
        kept = create("image_folder", "train", **options, cache=str(folder / "cache"), cache_size=max(SHORT_SIDES))
        limit = "decoding alone, simplejpeg"
        candidates = {
            **{f"decoding alone, {name}": decoding(files, decode) for name, decode in decoders().items()},
            "this pipeline": ours(source),
            "this pipeline, half of the images mirrored on the host": ours(source, mirrored=True),
            "this pipeline, parts of random shape (GoogLeNet)": ours(random_shape),
            "this pipeline, from its cache of decoded pictures": ours(kept),
            "DataLoader, Pillow, uint8": dataloader(files, tensors=False),
            "DataLoader, Pillow, normalized tensors": dataloader(files, tensors=True),
        }
        contestants = {name: contestant for name, contestant in candidates.items() if contestant is not None}
        processor, wall = _measure(contestants, rounds=3 if quick else 15)
    rows: list[Row] = []
    for name in contestants:
        shares = [a / b for a, b in zip(processor[limit], processor[name], strict=True)]
        rows.append(
            {
                "stack": name,
                "ms_of_CPU_an_image": statistics.median(processor[name]) / IMAGES * 1e3,
                "images_a_second_per_core": round(IMAGES / statistics.median(processor[name])),
                "images_a_second_on_2_threads": round(IMAGES / statistics.median(wall[name])),
                "share_of_the_limit": statistics.median(shares),
            }
        )
    share = {row["stack"]: row["share_of_the_limit"] for row in rows}
    reading = f"the limit is decoding alone by simplejpeg; the pipeline reaches {share['this pipeline']:.2f} of it"
    theirs = "DataLoader, Pillow, normalized tensors"
    if theirs in share:
        ratio = float(share[theirs] or 0) / float(share["this pipeline"] or 1)
        reading += f", and takes {ratio:.2f} of the CPU time of the DataLoader"
    title = f"ResNet's training transform, {IMAGES} JPEGs of about 500 x 375, {size:.0f} KiB on average"
    return Result(title, rows, reading)


def _measure(
    contestants: dict[str, Contestant], *, rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """CPU and wall seconds of each contestant's epochs, taken in turns, every other round in the opposite order."""
    processor: dict[str, list[float]] = {name: [] for name in contestants}
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    for contestant in contestants.values():
        contestant()
    for turn in range(rounds):
        for name in list(contestants)[:: 1 if turn % 2 else -1]:
            began, worked = time.perf_counter(), time.process_time()
            contestants[name]()
            processor[name].append(time.process_time() - worked)
            wall[name].append(time.perf_counter() - began)
    return processor, wall
