"""Networks made narrower or wider than their papers have them, for quick trials."""


def widened(filters: int, width: float, groups: int = 1) -> int:
    """`width` times as many filters, rounded to the nearest multiple of `groups`, and at least that many.

    At a width of 1 they stay as they are.
    """
    return max(1, round(filters * width / groups)) * groups
