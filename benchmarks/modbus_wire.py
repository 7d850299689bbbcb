"""What reads take on a serial wire, worked out apart from `edge.bus_time`: the edge and its twin both go by that."""

from typing import Final

CHARACTER_BITS: Final = 11
"""Start bit, eight of data, two stop bits in place of a parity bit and one."""
AROUND_WORDS: Final = 8 + 5
"""Bytes of the request (unit, function, address, count, CRC), and of the answer beside its words (unit, function, length, CRC)."""
SILENCE_S: Final = 0.00175
"""Above 19 200 baud; at most that fast it is 3.5 characters."""


def wire_s(baud: int, words: int) -> float:
    """Seconds of one read of so many words, by Modbus over serial line V1.02: two frames, and the silence before each."""
    silence_s = SILENCE_S if baud > 19_200 else 3.5 * CHARACTER_BITS / baud
    return (AROUND_WORDS + 2 * words) * CHARACTER_BITS / baud + 2 * silence_s


def use_of(reads: int, each_s: float, took_s: float) -> float:
    """The part of the time that the reads had to take, 0..1.

    Raises:
        ValueError: they took less than that: the wire, or the clock, is none.
    """
    use = reads * each_s / took_s
    if use > 1.0:
        raise ValueError(f"{reads} reads took {took_s:.4f} s, a wire {reads * each_s:.4f} s")
    return use
