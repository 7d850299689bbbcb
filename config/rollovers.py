"""Where a counter begins again: what is added to it then, by what a profile writes. Pure."""

from typing import Final

BITS: Final = {"u16": 16, "i16": 16, "u32": 32, "i32": 32, "u64": 64, "i64": 64}
FULL_BITS: Final = frozenset(2**bits - 1 for bits in (8, 16, 24, 32, 48, 64))
NINES_MIN: Final = 999
NEAR: Final = 1e-9


def range_of(written: float, step: float, register: str | None) -> float:
    """The counter's range in its unit: how much one round is.

    `rolls_over_at` is written as the number that it never shows (65 536, 100 000) or as the greatest that it shows (65 535,
    99 999.9): no counter has a range of all ones or all nines. `step` is the smallest that it moves by (its scale);
    of a whole `register` of this type the raw number may be written, whatever the scale.
    """
    step = abs(step) or 1.0
    bits = BITS.get(register or "")
    if bits and written in (2**bits - 1, 2**bits):
        return float(2**bits) * step
    shown = round(written / step)
    if abs(shown * step - written) <= NEAR * written and _is_greatest(shown):
        return (shown + 1) * step
    return written


def _is_greatest(number: int) -> bool:
    return number in FULL_BITS or (number >= NINES_MIN and set(str(number)) == {"9"})
