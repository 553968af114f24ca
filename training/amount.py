"""Numbers of things, for sentences."""


def amount(number: int, one: str, many: str = "") -> str:
    """Write how many there are of `one`; `many` is its plural, if that is not made by an s."""
    return f"1 {one}" if number == 1 else f"{number:,} {many or f'{one}s'}"
