from edge.device_messages import MESSAGE_BYTES, DeviceMessage, Latest, Waiting


def message(topic: str, payload: bytes = b"1") -> DeviceMessage:
    return DeviceMessage(topic, payload, False, 0, 0.0)


def taken(waiting: Waiting) -> list[DeviceMessage]:
    return [*iter(waiting.take, None)]


def topics(messages: list[DeviceMessage]) -> list[str]:
    return [message.topic for message in messages]


def test_messages_wait_in_order_and_are_taken_once() -> None:
    waiting = Waiting()
    for topic in ("a", "b", "a"):
        waiting.add(message(topic))
    assert topics(taken(waiting)) == ["a", "b", "a"]
    assert waiting.take() is None


def test_too_many_messages_lose_the_oldest_and_are_counted() -> None:
    waiting = Waiting(messages_max=3)
    for topic in "abcde":
        waiting.add(message(topic))
    assert topics(taken(waiting)) == ["c", "d", "e"]
    assert waiting.dropped_messages == 2


def test_too_many_bytes_lose_the_oldest_and_are_counted() -> None:
    waiting = Waiting(bytes_max=10_000)
    for topic in "abcd":
        waiting.add(message(topic, b"x" * 3_000))
    assert topics(taken(waiting)) == ["b", "c", "d"]
    waiting.add(message("e", b"x" * 9_000))
    assert topics(taken(waiting)) == ["e"]
    assert waiting.dropped_messages == 1


def test_the_last_of_a_topic_is_remembered_and_its_repetition_known() -> None:
    latest = Latest()
    latest.keep(message("a", b"1"))
    assert latest.repeats(message("a", b"1"))
    latest.keep(message("a", b"2"))
    assert not latest.repeats(message("a", b"1"))
    assert [m.payload for m in latest.of("#")] == [b"2"]


def test_topics_and_bytes_beyond_the_bounds_are_not_remembered_but_counted() -> None:
    few = Latest(topics_max=2)
    for topic in "abc":
        few.keep(message(topic))
    few.keep(message("a", b"again"))
    assert (sorted(topics(few.of("#"))), few.forgotten_messages) == (["a", "b"], 1)
    small = Latest(bytes_max=2 * (MESSAGE_BYTES + 100))
    small.keep(message("a", b"x" * 50))
    small.keep(message("b", b"x" * 500))
    small.keep(message("a", b"x" * 600))
    assert (small.of("#"), small.forgotten_messages) == ([], 2)
    assert not small.repeats(message("a", b"x" * 50))
