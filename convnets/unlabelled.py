"""What masks have where a pixel has no label."""

IGNORED = 255
"""The mask value of pixels that no loss and no measure counts; classes have the values below it."""
