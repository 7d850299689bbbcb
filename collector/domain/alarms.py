"""Alarms as ISA-18.2 has them: the states, the events, and the table of what may follow what."""

from enum import StrEnum


class Condition(StrEnum):
    """The delayed condition of a rule. UNKNOWN is never treated as NORMAL."""

    NORMAL = "NORMAL"
    ABNORMAL = "ABNORMAL"
    UNKNOWN = "UNKNOWN"
