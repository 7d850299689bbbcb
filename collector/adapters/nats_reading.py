"""Reads many messages of a stream at once: a consumer for one reading, in as many pulls as that takes."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

ANSWER_S_MAX: Final = 10.0
PULL_MESSAGES: Final = 1000
PULL_BYTES: Final = 16 << 20
"""What the server sends without being asked again: twice the largest message, a quarter of what it queues for one client."""
UNUSED_S: Final = 30.0
NOTHING_MORE: Final = "404"


async def read_numbers(client: Client, stream: str, first: int, last: int) -> list[Msg]:
    """The messages of the numbers `first` to `last` that are there, in order."""
    wanted = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=first)
    found = await _read(client, stream, wanted, last)
    return [message for message in found if message.metadata.sequence.stream <= last]


async def read_newest(client: Client, stream: str, subjects: str) -> list[Msg]:
    """The newest message of each of these subjects."""
    wanted = ConsumerConfig(deliver_policy=DeliverPolicy.LAST_PER_SUBJECT, filter_subject=subjects)
    return await _read(client, stream, wanted)


async def _read(
    client: Client, stream: str, wanted: ConsumerConfig, last: int | None = None
) -> list[Msg]:
    js = client.jetstream(timeout=ANSWER_S_MAX)
    kind = wanted.evolve(
        ack_policy=AckPolicy.NONE, mem_storage=True, num_replicas=1, inactive_threshold=UNUSED_S
    )
    name = (await js.add_consumer(stream, config=kind)).name
    found: list[Msg] = []
    try:
        while True:
            pull = await _pull(client, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}", last, found)
            found += pull.found
            if pull.is_last(last):
                return found
    finally:
        with suppress(NatsError, TimeoutError):
            await js.delete_consumer(stream, name)


async def _pull(client: Client, subject: str, last: int | None, found: list[Msg]) -> "_Pull":
    count = PULL_MESSAGES
    if last is not None and found:
        count = min(count, max(1, last - found[-1].metadata.sequence.stream))
    pull, inbox = _Pull(count), client.new_inbox()
    subscription = await client.subscribe(inbox, cb=pull.take)
    asked = {"batch": count, "max_bytes": PULL_BYTES, "no_wait": True}
    try:
        await client.publish(subject, json.dumps(asked).encode(), reply=inbox)
        await asyncio.wait_for(pull.over.wait(), ANSWER_S_MAX)
    finally:
        await subscription.unsubscribe()
    if pull.said not in ("", NOTHING_MORE) and not pull.found:
        raise NatsError(f"the server sends nothing: {pull.said}")
    return pull


@dataclass(slots=True)
class _Pull:
    """What one pull brings: over when all that it asked for came, or the server says why no more does."""

    wanted: int
    found: list[Msg] = field(default_factory=list)
    said: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, message: Msg) -> None:
        self.said = (message.headers or {}).get("Status", "")
        if not self.said:
            self.found.append(message)
        if self.said or len(self.found) == self.wanted:
            self.over.set()

    def is_last(self, last: int | None) -> bool:
        if not self.found:
            return True
        newest = self.found[-1].metadata
        return not newest.num_pending or (last is not None and newest.sequence.stream >= last)
