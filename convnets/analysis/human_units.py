"""Large numbers as people read them, to three digits."""

COUNTS = ("", " K", " M", " G", " T", " P")
BYTES = (" B", " kB", " MB", " GB", " TB", " PB")


def short_count(number: int) -> str:
    """A count in K (10^3), M, G, T or P.

    >>> short_count(15_470_264_320), short_count(999_999), short_count(84)
    ('15.5 G', '1.00 M', '84')
    """
    return _short(number, COUNTS)


def short_bytes(number: int) -> str:
    """Memory in kB (10^3 bytes), MB, GB, TB or PB.

    >>> short_bytes(12_845_056)
    '12.8 MB'
    """
    return _short(number, BYTES)


def _short(number: float, units: tuple[str, ...]) -> str:
    power = 0
    while float(f"{number:.3g}") >= 1000 and power < len(units) - 1:
        number, power = number / 1000, power + 1
    digits = 0 if power == 0 else max(0, 3 - len(str(int(float(f"{number:.3g}")))))
    return f"{number:.{digits}f}{units[power]}"
