"""What is covered to the last branch."""

from commands.testing import ROOT, WHOLE


def test_every_decoder_is_covered_to_its_last_branch() -> None:
    decoders = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("*/decoding.py")}
    assert len(decoders) == 2
    assert decoders <= set(WHOLE)


def test_what_is_named_is_there() -> None:
    assert [name for name in WHOLE if not any(ROOT.glob(name))] == []
