"""What people want of alarms and plans: kept as an ask, answered by its outcome."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from api.problems import Problem
from api.services import Services, ask_id
from api.shapes import Asked
from collector.ports import Ask


async def wish(
    services: Services,
    what: tuple[str, str, str],
    by: str,
    request_id: str,
    data: Mapping[str, Any],
) -> Asked:
    """Keep the ask (`what`: site, kind, subject) and wait for its outcome.

    Raises:
        Problem: `refused` with its reason.
    """
    site, kind, subject = what
    id = ask_id(kind, f"{site}/{subject}", by, request_id or uuid4().hex)
    outcome = await services.ask(Ask(id, site, kind, subject, by, services.clock.now(), data))
    if outcome is None:
        return {"ask": id}
    if not outcome.accepted:
        raise Problem("refused", f"{kind}: {outcome.reason}", reason=outcome.reason, ask=id)
    return {"ask": id, "outcome": "accepted"}
