"""Messages that expire."""

import pytest

from mx import Client
from server import SECRET, Server, wait_for


@pytest.fixture(scope="module")
def server_with_retention():
    s = Server(config={"retention": {"enabled": True, "default_policy": {"max_lifetime": "1d"}, "allowed_lifetime_min": "1s",
                                     "purge_jobs": [{"interval": 500, "longest_max_lifetime": "1h"}, {"interval": "1h"}]}})  # fmt: skip
    s.start()
    yield s
    s.close()


def test_expired_messages_are_shown_to_nobody_and_deleted(server_with_retention):
    base = server_with_retention.base
    admin = Client(base).register_with_secret(SECRET, "admin", admin=True)
    alice, bob = (Client(base).register(n) for n in ("alice", "bob"))
    room = alice.create_room(preset="public_chat", initial_state=[{"type": "m.room.retention", "content": {"max_lifetime": 1500}}])
    kept = alice.create_room()
    stays = alice.text(kept, "for a day")
    bob.join(room)
    sent = [alice.text(room, f"m{i}") for i in range(5)]
    assert alice.event(room, sent[0])["content"]["body"] == "m0"
    wait_for(lambda: alice.raw("GET", f"/rooms/{room}/event/{sent[4]}").status_code == 404)
    for c in (alice, bob):
        assert [e for e in c.messages(room)["chunk"] if e["type"] == "m.room.message"] == []
        timeline = c.get("/sync", {"timeout": 0})["rooms"]["join"][room]["timeline"]["events"]
        assert [e for e in timeline if e["type"] == "m.room.message"] == []
    # deleted but for the newest of them, from which the room goes on
    wait_for(lambda: admin.raw("GET", f"/_synapse/admin/v1/fetch_event/{sent[3]}").status_code == 404)
    assert alice.state(room, "m.room.retention") == {"max_lifetime": 1500}
    new = bob.text(room, "fresh")
    assert alice.event(room, new)["content"]["body"] == "fresh"
    assert alice.event(kept, stays)["content"]["body"] == "for a day"


def test_what_was_set_before_summaries_were_told_of_it_is_obeyed():
    config = {"retention": {"enabled": True, "allowed_lifetime_min": "1s", "purge_jobs": [{"interval": 300}]}}
    s = Server(config={"retention": {"enabled": False}})
    s.start()
    try:
        admin = Client(s.base).register_with_secret(SECRET, "admin", admin=True)
        alice = Client(s.base).register("alice")
        said, changed, unsaid, redacted = (alice.create_room() for _ in range(4))
        policy = {"max_lifetime": 1000}
        alice.set_state(said, "m.room.retention", policy)
        for lifetime in (5, 1000):
            alice.set_state(changed, "m.room.retention", {"max_lifetime": lifetime})
        alice.redact(redacted, alice.set_state(redacted, "m.room.retention", policy))
        first = {room: alice.text(room, "first") for room in (said, changed, unsaid, redacted)}
        for room in first:
            alice.text(room, "second")
        s.sql("UPDATE room_summary SET retention_max = NULL")  # as a release without the duty leaves it
        s.stop()
        s.config.update(config)
        s.start()
        admin, alice = (Client(s.base, c.token) for c in (admin, alice))
        for room in (said, changed):
            wait_for(lambda: admin.raw("GET", f"/_synapse/admin/v1/fetch_event/{first[room]}").status_code == 404)
        assert s.sql("SELECT count(*) FROM room_summary WHERE retention_max = 1000").strip() == "2"
        for room in (unsaid, redacted):
            assert alice.event(room, first[room])["content"]["body"] == "first"
    finally:
        s.close()
