"""A process whose files may not grow."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def files_may_have(size: int) -> Iterator[None]:
    """As `ulimit -f`, or a quota, or a partition of this size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
