"""Masks of other sizes than their pictures, found from the headers of the files: before training, not hours later."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

from convnets.data.canvases import THREADS, upright_size
from convnets.data.decoding import UnreadableImage
from convnets.data.few import Few
from convnets.data.labelled_files import FileRecords
from convnets.data.masks import called_by, of_another_size
from convnets.data.pictures import Pictures
from convnets.data.reporting import bar
from convnets.data.source import Source, Subset


def check_mask_sizes(source: Source) -> None:
    """Compares the size of each picture of a source with that of its mask, where both are files; none is decoded.

    Those that are kept decoded were compared when they were. A file whose header can't be read is left to who decodes
    it.

    Raises:
      InvalidValue: more masks of another size than pictures are to be passed over.
    """
    places = list(range(len(source)))
    while isinstance(source, Subset | Few):
        view = source.view if isinstance(source, Few) else source
        source, places = view.source, view.indices[places].tolist()
    if not (isinstance(source, Pictures) and isinstance(source.records, FileRecords)):
        return
    records = source.records
    if "mask" not in records.info.fields:
        return
    faults = {}
    # Most of the time goes by waiting for the disk.
    with ThreadPoolExecutor(THREADS) as pool, bar(f"sizes of masks of {records.info.name}", len(places)) as update:
        for done, fault in enumerate(pool.map(partial(_fault, records), places), 1):
            if fault is not None:
                faults[places[done - 1]] = fault
            update(done)
    for place, fault in faults.items():
        source.unreadable.pass_over(place, fault)


def _fault(records: FileRecords, i: int) -> UnreadableImage | None:
    record = records[i]
    mask = record.mask
    if not isinstance(mask, Path):
        return None
    try:
        picture, stored = upright_size(record.image), _stored_size(mask)
    # What is wrong with a file is said where it is decoded; Pillow's errors are of many kinds.
    except Exception:
        return None
    return None if stored == picture else of_another_size(called_by(mask, record.name), stored, picture)


def _stored_size(mask: Path) -> tuple[int, int]:
    """Height and width; masks are not turned by an EXIF orientation."""
    with Image.open(mask) as image:
        return image.height, image.width
