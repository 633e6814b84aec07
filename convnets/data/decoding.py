"""From the content of an image file to its pixels, as a viewer would show them.

JPEGs of the usual kind go through libjpeg-turbo by simplejpeg, the fastest of the decoders that were measured
(docs/data.md), which gives the very pixels that Pillow does. All else goes through Pillow: other formats, JPEGs that
are turned by their EXIF orientation or in CMYK, and those that libjpeg-turbo finds fault with.
"""

import io
import math
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from convnets.errors import InvalidValue

Content = bytes | Path | np.ndarray
"""A picture: the content of an image file, the file itself, or decoded pixels uint8 `[H, W, C]`."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
JPEG_BEGINS = b"\xff\xd8\xff"
NUMPY_BEGINS = b"\x93NUMPY"
PNG_DEPTH = 24
"""The place of the byte that has the bits of a sample, in the header of a PNG."""
SCAN = b"\xff\xda"
EXIF = b"Exif\0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
UPRIGHT = 1
LEVELS = 255
ORIENTATION = 0x0112
QUARTER_TURNS = range(5, 9)
"""EXIF's orientations that exchange height and width."""
PNG_ORIENTATION = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""What the name of a chunk, or of a text in it, is that may have a PNG's orientation."""


class UnreadableImage(InvalidValue):
    """A file that can't be opened, or is no picture that can be decoded.

    Args:
      fault: what is wrong, for sentences that go on.
      advice: how to put it right, if that is more than another file.
    """

    def __init__(self, fault: str, advice: str = ""):
        super().__init__(f"{fault}: {advice}" if advice else fault)
        self.fault, self.advice = fault, advice


class Picture:
    """A picture whose size is known and whose pixels may still have to be decoded.

    Args:
      content: an image file, its content, or pixels uint8 `[H, W, C]`.
      name: what an error calls it.
      channels: 1 (grey, ITU-R 601 luma) or 3 (RGB), of the pixels wanted.

    Attributes:
      height, width: of the upright picture, in pixels.

    Raises:
      UnreadableImage: the content can't be read or decoded.
    """

    def __init__(self, content: Content, name: str, channels: int = 3):
        self._channels, self._name = channels, name
        self._pixels: np.ndarray | None = None
        if isinstance(content, np.ndarray):
            pixels = content if content.shape[-1] == channels else _converted(_from_pixels(content), channels)
            self._keep(pixels)
            return
        self._content = _read(content, name)
        usual = _usual_jpeg(self._content)
        if usual is None:
            self._keep(decode_with_pillow(self._content, name, channels))
        else:
            self.height, self.width, self._colours = usual

    def pixels(self, shrink: float = 1.0) -> np.ndarray:
        """Uint8 `[h, w, C]`, of the picture's own size or smaller.

        Args:
          shrink: by how much the picture will be shrunk afterwards. From 2 on a JPEG is decoded at 1/2, 1/4 or 1/8 of
            its size (the largest that leaves no enlarging to do), where each pixel is the mean of those it stands for.

        Raises:
          UnreadableImage: the content can't be decoded.
        """
        if self._pixels is not None:
            return self._pixels
        # Powers of two alone: libjpeg-turbo has no fast transform for the others.
        part = 2 ** min(int(math.log2(shrink)), 3) if shrink >= 2 else 1
        grey = self._channels == 1 and self._colours == "Gray"
        try:
            pixels = simplejpeg.decode_jpeg(
                self._content,
                "GRAY" if grey else "RGB",
                min_height=-(-self.height // part),
                min_width=-(-self.width // part),
                min_factor=part,
            )
        except ValueError:
            # What libjpeg-turbo warns of is an error to simplejpeg; Pillow tells the harmless from the truncated.
            self._keep(decode_with_pillow(self._content, self._name, self._channels))
            return self.pixels()
        return pixels if grey or self._channels == 3 else _converted(_from_pixels(pixels), 1)

    def _keep(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        self.height, self.width = pixels.shape[:2]


def decode_with_pillow(content: bytes, name: str, channels: int) -> np.ndarray:
    """The upright picture as uint8 `[H, W, channels]`.

    As a viewer shows it: turned as its EXIF orientation says, transparency on white, the first frame of an animation,
    16 bits scaled to 8.

    Raises:
      UnreadableImage: the content can't be decoded.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            return _converted(_flatten(ImageOps.exif_transpose(image)), channels)
    except Exception as error:
        raise unreadable(name, error) from error


def upright_size(content: Content) -> tuple[int, int]:
    """Height and width of a picture as a viewer shows it, from its header.

    Raises:
      OSError: it has none that can be read. Pillow raises other errors too.
    """
    if isinstance(content, np.ndarray):
        return content.shape[0], content.shape[1]
    with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
        # Pillow gives the upright size of a TIFF, and would decode a PNG to see what stands behind its pixels.
        turned = image.format != "TIFF"
        if image.format == "PNG":
            stored = content if isinstance(content, bytes) else content.read_bytes()
            turned = any(mark in stored for mark in PNG_ORIENTATION)
        if turned and image.getexif().get(ORIENTATION) in QUARTER_TURNS:
            return image.width, image.height
        return image.height, image.width


def decode_mask(content: Content, name: str, colours: bool = False) -> np.ndarray:
    """What a mask has for each pixel: levels int32 `[H, W]`, places in a palette among them, or colours `[H, W, 3]`.

    Levels are those that are stored, in [0, 255]; a PNG of 1, 2 or 4 bits has few of them.

    Args:
      colours: whether it is to be one of colours. A palette serves as either.

    Raises:
      UnreadableImage: the content can't be decoded, is of the other kind, has transparent colours, floating-point
        values or levels out of their range.
    """
    stored = content if isinstance(content, np.ndarray) else _decode_stored(_read(content, name), name, colours)
    stored = stored[..., 0] if stored.shape[2:] == (1,) else stored
    if stored.dtype.kind not in "uib":
        raise UnreadableImage(f"{name} has floating-point values, and a mask has whole numbers", "save it as a PNG")
    has = f"{stored.shape[-1]} channels" if stored.ndim > 2 else "grey levels"
    if colours and stored.shape[2:] != (3,):
        advice = "save it in RGB or give levels"
        raise UnreadableImage(f"{name} has {has}, and its classes are given as colours (data.mask_values)", advice)
    if not colours and stored.ndim > 2:
        raise UnreadableImage(f"{name} has {has}, and a mask has one, unless data.mask_values gives colours of classes")
    outside = np.flatnonzero((stored < 0) | (stored > LEVELS))
    if len(outside) and not colours:
        row, column = divmod(int(outside[0]), stored.shape[1])
        raise UnreadableImage(
            f"{name} has the level {stored[row, column]} in row {row}, column {column} (from 0), and those of a mask "
            f"lie in [0, {LEVELS}]"
        )
    return stored.astype(np.int32)


def _decode_stored(content: bytes, name: str, colours: bool) -> np.ndarray:
    if content.startswith(NUMPY_BEGINS):
        raise UnreadableImage(f"{name} is a NumPy array, and a mask is an image", "save its levels as a PNG")
    try:
        with Image.open(io.BytesIO(content)) as image:
            stored = np.asarray(image)
            if image.mode == "P" and colours:
                palette = np.array(image.getpalette("RGB"), np.int32).reshape(-1, 3)
                # What is beyond the palette has a colour that no label map has.
                return np.append(palette, np.full((256, 3), -1, np.int32), axis=0)[stored]
            if image.mode == "RGBA" and (stored[..., 3] == LEVELS).all():
                return stored[..., :3]
            if image.format == "PNG" and image.mode == "L" and content[PNG_DEPTH] < 8:
                # Pillow spreads few levels over all that a byte has.
                return stored // (LEVELS // (2 ** content[PNG_DEPTH] - 1))
            return stored
    except Exception as error:
        raise unreadable(name, error) from error


def of_another_size(called: str, found: tuple[int, ...], picture: tuple[int, ...]) -> UnreadableImage:
    """What is said of a mask that does not fit its picture, by the height and width of both."""
    return UnreadableImage(f"{called} has {found[0]} x {found[1]} pixels, and the picture {picture[0]} x {picture[1]}")


def unreadable(name: str, error: Exception) -> UnreadableImage:
    """The error for a file that Pillow can't decode; its decoders raise OSError, SyntaxError, ValueError and more."""
    if isinstance(error, UnreadableImage):
        return error
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        reason = "its content is in no known format"
    return UnreadableImage(f"{name} can't be read as an image: {reason.rstrip('.')}")


def _read(content: bytes | Path, name: str) -> bytes:
    if isinstance(content, bytes):
        return content
    try:
        with open(content, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise UnreadableImage(f"{name} can't be read as an image: {error.strerror}") from error


def _usual_jpeg(content: bytes) -> tuple[int, int, str] | None:
    """Height, width and colours of a JPEG in grey or YCbCr that is stored upright; None for all else."""
    if not content.startswith(JPEG_BEGINS) or not _upright(content):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    # A header may lie about the size, and Pillow refuses what no camera makes before it asks for the memory.
    most = 2 * (Image.MAX_IMAGE_PIXELS or math.inf)
    usual = colours in ("Gray", "YCbCr") and int(height) * int(width) <= most
    return (int(height), int(width), colours) if usual else None


def _upright(content: bytes) -> bool:
    """Whether a JPEG's EXIF or XMP data, if it has any, leaves the picture as it is stored."""
    # Segments before the scan (ITU-T T.81, annex B).
    place = 2
    while content.startswith(b"\xff", place) and not content.startswith(SCAN, place):
        if content.startswith((EXIF, XMP), place + 4):
            try:
                with Image.open(io.BytesIO(content)) as image:
                    return image.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT
            except Exception:
                return False
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return True


def _from_pixels(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _converted(image: Image.Image, channels: int) -> np.ndarray:
    return np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(image.height, image.width, channels)


def _flatten(image: Image.Image) -> Image.Image:
    """One opaque 8-bit picture: deep pixels scaled, transparency composited on white."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255 instead of scaling. 65535 / 257 = 255.
        deep = np.asarray(image).astype(np.int64).clip(0, 65535)
        grey = ((deep + 128) // 257).astype(np.uint8)
        if "transparency" in image.info:
            grey[deep == image.info["transparency"]] = 255
        return Image.fromarray(grey)
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed range")
    if image.has_transparency_data:
        if image.mode == "La":
            image = image.convert("LA")
        opaque = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    return image if image.mode == "L" else image.convert("RGB")
