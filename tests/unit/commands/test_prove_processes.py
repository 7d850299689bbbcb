import pytest

from commands import main
from commands.proving.accidents import ACCIDENTS, LEFT_HALF_OPEN
from commands.proving.lives import Verdict
from commands.proving.processes import RUNS_THAT_SEE_ALL, make_report

EACH_ONCE = dict.fromkeys((*ACCIDENTS, LEFT_HALF_OPEN), 1)


def verdicts(count: int, **of_first: object) -> list[Verdict]:
    """So many lives that each made 10 readings; all accidents happened in the first."""
    table = {"seen": EACH_ONCE, "stored": 10, "alarms": 2, "work_orders": 1, **of_first}
    first = Verdict(0, made=10, tried=EACH_ONCE, **table)  # type: ignore[arg-type]  # a table of members
    return [first, *(Verdict(seed, made=10) for seed in range(1, count))]


def test_lives_are_summed() -> None:
    report = make_report(verdicts(3, quiet_s=4.26))
    assert (report["runs"], report["held"], report["made"]) == (3, 3, 30)
    assert report["quiet_s_max"] == 4.3
    assert report["accidents"]["edge killed"] == {"seen": 1, "tried": 1}
    assert report["problems"] == []


def test_a_failed_life_is_named_with_what_was_wrong() -> None:
    report = make_report(verdicts(2, problems=("2 lost",)))
    assert report["held"] == 1
    assert report["problems"] == ["seed 0: 2 lost"]


@pytest.mark.parametrize(
    ("of_first", "said"),
    [
        ({"stored": 0}, "nothing was stored"),
        ({"alarms": 0}, "no alarm was raised"),
        ({"work_orders": 0}, "no work order was raised"),
        ({"seen": {}}, "no accident was seen"),
    ],
)
def test_lives_in_which_nothing_could_be_lost_or_said_twice_are_no_proof(
    of_first: dict[str, object], said: str
) -> None:
    assert make_report(verdicts(2, **of_first))["problems"] == [said]


@pytest.mark.parametrize("kind", [*ACCIDENTS, LEFT_HALF_OPEN])
def test_an_accident_that_never_happened_in_many_lives_is_a_fault_of_the_proof(kind: str) -> None:
    seen = {name: count for name, count in EACH_ONCE.items() if name != kind}
    report = make_report(verdicts(RUNS_THAT_SEE_ALL, seen=seen))
    assert report["problems"] == [f"never seen: {kind}"]
    assert make_report(verdicts(RUNS_THAT_SEE_ALL))["problems"] == []
    assert make_report(verdicts(RUNS_THAT_SEE_ALL - 1, seen=seen))["problems"] == []


@pytest.mark.parametrize(
    ("proof", "option"),
    [
        ("processes", "--runs"), ("processes", "--at-once"), ("kills", "--kills"),
        ("delivery", "--seeds"), ("pictures", "--seeds"), ("fuzz", "--frames"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("said", ["0", "-1", "none"])
def test_none_at_all_is_no_proof(
    proof: str, option: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["prove", proof, option, said])
    assert ended.value.code == main.WRONG_USE
    assert option in capsys.readouterr().err
