"""What an hour of samples says of growth, on processes that are made up."""

import os
import subprocess
import sys

import pytest

from commands.proving.endurance import Sample, grown_in, sample, wrong_with


def samples(first: Sample, last: Sample, count: int = 120) -> list[Sample]:
    """A third of whatever, as a process that warms up; then half of one, half of the other."""
    warm = [Sample(1.0 + n, n) for n in range(count // 3)]
    return [*warm, *[first] * (count // 3), *[last] * (count - 2 * (count // 3))]


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (Sample(104.9, 20), []),
        (Sample(90.0, 12), []),
        (Sample(105.0, 20), ["server grew by 5.0%, from 100.0 to 105.0 MB"]),
        (Sample(100.0, 22), []),
        (Sample(100.0, 23), ["server has 23 descriptors at least, and had 20 at most"]),
        (Sample(200.0, 40), ["server grew by 100.0%, from 100.0 to 200.0 MB", "server has 40 descriptors at least, and had 20 at most"]),
    ],
)  # fmt: skip
def test_growth_is_that_behind_the_warming_up(last: Sample, said: list[str]) -> None:
    grown = grown_in(samples(Sample(100.0, 20), last))
    assert wrong_with("server", grown) == said


def test_descriptors_that_come_and_go_are_no_growth() -> None:
    restless = [Sample(100.0, 20 + n % 7) for n in range(120)]
    assert wrong_with("server", grown_in(restless)) == []


def test_a_process_that_opens_one_more_now_and_then_is_found() -> None:
    leaking = [Sample(100.0, 20 + n // 10 + n % 3) for n in range(120)]
    (said,) = wrong_with("server", grown_in(leaking))
    assert "descriptors" in said


def test_a_process_is_seen_with_what_it_holds() -> None:
    hold = "import os,sys; kept = b'x' * 50_000_000; [os.open('/dev/null', 0) for _ in range(30)]; print(1, flush=True); sys.stdin.read()"  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:  # fmt: skip
        assert child.stdout is not None
        child.stdout.readline()
        found = sample(child.pid)
        child.communicate()
    assert found.mb > 50
    assert found.descriptors >= 33
    with pytest.raises(OSError):  # noqa: PT011  # whichever of them /proc gives
        sample(child.pid)
    assert sample(os.getpid()).mb > 10
