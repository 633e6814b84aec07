"""Where a sliding window fits."""


def positions(length: int, window: int, stride: int = 1, padding: int = 0) -> int:
    """How many windows of `window` pixels, `stride` apart, fit into `length` pixels and `padding` more on each side."""
    return max(0, (length + 2 * padding - window) // stride + 1)
