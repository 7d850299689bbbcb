"""Every mistake of a set of files at once: file, path, what is wrong and what is allowed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

PATH_MAX = 200
MESSAGE_MAX = 2000


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to mend. `path` is dotted, e.g. `devices.booster-a.unit`."""

    file: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.path}: {self.message}" if self.path else f"{self.file}: {self.message}"  # fmt: skip


class ConfigErrors(Exception):
    """The files cannot be used as they stand: fix every line of the message."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(m) for m in mistakes))
        self.mistakes = tuple(mistakes)


@dataclass(slots=True)
class Mistakes:
    """Collects mistakes while reading goes on, so that all are told at once."""

    rows: list[Mistake] = field(default_factory=list)

    def add(self, file: str, path: str, message: str) -> None:
        self.rows.append(Mistake(file, _cut(path, PATH_MAX), _cut(message, MESSAGE_MAX)))

    def unknown(self, file: str, path: str, value: str, allowed: Sequence[str]) -> None:
        """A name that nothing has, with the names there are."""
        names = ", ".join(sorted(allowed)[:40]) or "none there"
        self.add(file, path, f"{value!r} is unknown; allowed: {names}")

    def raise_if_any(self) -> None:
        """Raise `ConfigErrors` with everything collected, the same of several devices once."""
        if self.rows:
            raise ConfigErrors(tuple(dict.fromkeys(self.rows)))


def _cut(text: str, letters: int) -> str:
    """Both ends of a text that somebody wrote far too long: the reason stands behind what was given."""
    if len(text) <= letters:
        return text
    return f"{text[: letters // 4]} … {text[-3 * letters // 4 :]}"
