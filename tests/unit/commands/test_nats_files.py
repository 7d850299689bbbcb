"""NATS is told in its own words who may say and hear what."""

import json

from commands.nats_files import subject, users_file


def test_a_topic_is_named_as_nats_names_it() -> None:
    named = {"steward/v1/+/+/data": "steward.v1.*.*.data", "devices/site/#": "devices.site.>", "a.b/c": "a//b.c"}  # fmt: skip
    assert {topic: subject(topic) for topic in named} == named


def test_each_user_has_its_own_rights_and_who_has_none_may_say_nothing() -> None:
    rights = {"s/a": {"publish": ["steward/v1/s/a/data"], "receive": ["steward/v1/s/a/request"]}}
    lines = users_file({"s/a": 'w"1', "stranger": "w2"}, rights).splitlines()
    agent, stranger = (json.loads(line.rstrip(",")) for line in lines[1:-1])
    mqtt = ["$MQTT.sub.>", "$MQTT.deliver.pubrel.>"]
    assert agent == {
        "user": "s/a",
        "password": 'w"1',
        "permissions": {
            "publish": {"allow": ["steward.v1.s.a.data"]},
            "subscribe": {"allow": ["steward.v1.s.a.request", *mqtt]},
        },
    }
    assert stranger["permissions"] == {"publish": {"deny": [">"]}, "subscribe": {"allow": mqtt}}
