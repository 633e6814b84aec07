"""The protocols of test time, by name: which views of an image are scored.

Each is `f(image, size, scales) -> views`, of an image's size as it is served and the size that the network was trained
on. Scales are of the short side, relative to the training size: 8/7 is 256 for a network trained on 224. So every
protocol runs on small images too.
"""

from collections.abc import Callable, Sequence

from convnets.errors import InvalidValue
from convnets.evaluation.views import (
    Crop,
    Map,
    Size,
    Views,
    centre,
    corners_and_centre,
    crops_at,
    grid,
    largest_windows,
    scaled,
)
from convnets.registry import Registry

Scales = Sequence[float]
"""None given: the protocol's own."""

protocols: Registry[Callable[[Size, Size, Scales], Views]] = Registry("evaluation protocol")

ONE = (256 / 224,)
RESNET = tuple(side / 224 for side in (224, 256, 384, 480, 640))
GOOGLENET = tuple(side / 224 for side in (256, 288, 320, 352))
VGG = tuple(side / 224 for side in (256, 384, 512))
WHOLE = (0.5, 0.75, 1.0, 1.25, 1.5)
LARGEST = 16.0

OF_WHOLE_IMAGES = ("whole_image", "whole_and_mirrored")
"""Protocols whose scales are those of the image as it is served, and may shrink it."""
SMALLEST_WHOLE = 1 / 4


def views_of(protocol: str, image: Size, size: Size, scales: Scales = ()) -> Views:
    """The views of a protocol.

    Args:
      image: of the images as they are served.
      size: that the network was trained on.
      scales: of the short side relative to the training size, instead of the protocol's own.

    Raises:
      InvalidValue: an unknown protocol, or scales at which there is nothing to be cropped.
    """
    numbers = all(isinstance(scale, int | float) and not isinstance(scale, bool) for scale in scales)
    smallest = SMALLEST_WHOLE if protocol in OF_WHOLE_IMAGES else 1
    if not numbers or not all(smallest <= scale <= LARGEST for scale in scales):
        raise InvalidValue(f"evaluation.scales must lie in [{smallest:g}, {LARGEST:g}], and are {tuple(scales)}")
    return protocols[protocol](image, size, tuple(scales))


@protocols.register
def centre_crop(image: Size, size: Size, scales: Scales) -> Views:
    """One crop, of the image as it is served if no scale is given (and it is not smaller than the crop).

    So an image of the network's size is left as it is.
    """
    covers = image[0] >= size[0] and image[1] >= size[1]
    sizes = [image] if covers and not scales else _sizes(image, size, scales or (1.0,))
    return Views(tuple(next(crops_at(image, scale, size, [centre(scale, size)])) for scale in sizes))


@protocols.register
def ten_crop(image: Size, size: Size, scales: Scales) -> Views:
    """The corners, the centre and their mirror images (Krizhevsky et al. 2012, section 4.1).

    Without a scale they are cropped from the image as it is served, if it is larger than the crops, or else at 8/7.
    """
    larger = image[0] > size[0] and image[1] > size[1]
    return _ten_crops(image, size, [image] if larger and not scales else _sizes(image, size, scales or ONE))


@protocols.register
def multi_scale(image: Size, size: Size, scales: Scales) -> Views:
    """Ten crops at each of the short sides 224, 256, 384, 480, 640 (lecture: "Testing", of ResNet)."""
    return _ten_crops(image, size, _sizes(image, size, scales or RESNET))


@protocols.register
def googlenet_144(image: Size, size: Size, scales: Scales) -> Views:
    """144 crops (Szegedy et al. 2015, section 7).

    At each of the short sides 256, 288, 320, 352 the left, central and right square (of upright images the top, central
    and bottom one); of each the four corners, the centre, and the whole square resized; and mirror images.
    """
    crops: list[Crop] = []
    for scale in _sizes(image, size, scales or GOOGLENET):
        square, places = largest_windows(scale, size)
        for top, left in places:
            inside = corners_and_centre(square, size)
            crops += crops_at(image, scale, size, [(top + y, left + x) for y, x in inside])
            crops += crops_at(image, scale, square, [(top, left)])
    return Views(tuple(crops))


@protocols.register
def multi_crop(image: Size, size: Size, scales: Scales) -> Views:
    """A 5 x 5 grid and mirror images at each of the short sides 256, 384, 512: 150 crops.

    (Simonyan and Zisserman 2015, section 3.2.)
    """
    crops: list[Crop] = []
    for scale in _sizes(image, size, scales or VGG):
        crops += crops_at(image, scale, size, grid(scale, size, 5))
    return Views(tuple(crops))


@protocols.register
def dense(image: Size, size: Size, scales: Scales) -> Views:
    """The network as a convolution over the whole image and its mirror image, averaged over positions.

    At each of the short sides 256, 384, 512 (Simonyan and Zisserman 2015, section 3.2).
    """
    sizes = _sizes(image, size, scales or VGG)
    return Views(maps=tuple(Map(*scale, mirrored) for scale in sizes for mirrored in (False, True)))


@protocols.register
def whole_image(image: Size, size: Size, scales: Scales) -> Views:
    """The whole image, as it is served or at each of the scales given: for a class of every pixel."""
    return Views(maps=tuple(Map(*_resized(image, scale), False) for scale in scales or (1.0,)))


@protocols.register
def whole_and_mirrored(image: Size, size: Size, scales: Scales) -> Views:
    """The whole image and its mirror image at 1/2, 3/4, 1, 5/4 and 3/2 of its size: for a class of every pixel."""
    sizes = [_resized(image, scale) for scale in scales or WHOLE]
    return Views(maps=tuple(Map(*scaled, mirrored) for scaled in sizes for mirrored in (False, True)))


@protocols.register
def multi_crop_and_dense(image: Size, size: Size, scales: Scales) -> Views:
    """The mean of the two (Simonyan and Zisserman 2015, section 4.3)."""
    return Views(multi_crop(image, size, scales).crops, dense(image, size, scales).maps)


def _ten_crops(image: Size, size: Size, scales: Sequence[Size]) -> Views:
    crops: list[Crop] = []
    for scale in scales:
        crops += crops_at(image, scale, size, corners_and_centre(scale, size))
    return Views(tuple(crops))


def _resized(image: Size, scale: float) -> Size:
    return round(scale * image[0]), round(scale * image[1])


def _sizes(image: Size, size: Size, scales: Scales) -> list[Size]:
    return [scaled(image, size, scale) for scale in scales]
