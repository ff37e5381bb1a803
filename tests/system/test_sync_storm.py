"""First syncs that come again and again, or many at once."""

import threading

import pytest

from mx import Client
from prom import Scrape
from server import Server


@pytest.fixture(scope="module")
def server():
    s = Server(config={"enable_metrics": True}).start()
    yield s
    s.close()


def counts(server):
    return Scrape(server.base).by("hs_sync_whole_total", "how")


def during(server, action):
    """What the action added to the counts."""
    before = counts(server)
    action()
    after = counts(server)
    return {k: int(v - before.get(k, 0)) for k, v in after.items() if v != before.get(k, 0)}


# X06
def test_a_hundred_first_syncs_are_one_computation(server, alice, room):
    for i in range(20):
        alice.text(room, str(i))
    alice.create_room()
    answers = []

    def storm():
        threads = [threading.Thread(target=lambda: answers.append(Client(server.base, alice.token).sync())) for _ in range(100)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    told = during(server, storm)
    assert told["made"] == 1 and sum(told.values()) == 100, told
    assert len(answers) == 100 and all(a == answers[0] for a in answers)


def test_what_the_device_has_done_is_in_the_first_sync_after_it(server, alice, bob, room):
    for i in range(5):
        sent = alice.text(room, str(i))
        assert alice.sync()["rooms"]["join"][room]["timeline"]["events"][-1]["event_id"] == sent
        alice.receipt(room, sent)
        alice.put(f"/user/{alice.user_id}/account_data/org.example.count", {"n": i})
        data = {e["type"]: e["content"] for e in alice.sync()["account_data"]["events"]}
        assert data["org.example.count"] == {"n": i}
        said = bob.text(room, f"bob {i}")
        assert alice.sync()["rooms"]["join"][room]["timeline"]["events"][-1]["event_id"] == said


def test_a_retry_is_answered_with_what_was_made_until_the_client_goes_on(server, alice, room):
    first = alice.sync()
    assert during(server, alice.sync) == {"kept": 1}
    assert during(server, lambda: alice.sync(full_state="true")) == {"made": 1}
    other = Client(server.base).login(alice.user_id)
    assert during(server, other.sync) == {"made": 1}
    alice.sync(first["next_batch"])
    assert during(server, alice.sync) == {"made": 1}


def test_messages_to_the_device_are_not_shown_again_by_what_was_kept(server, alice, bob):
    alice.sync()
    bob.put("/sendToDevice/org.example.ping/t1", {"messages": {alice.user_id: {alice.device_id: {"n": 1}}}})
    answer = alice.sync()
    assert [e["content"] for e in answer["to_device"]["events"]] == [{"n": 1}]
    assert during(server, alice.sync) == {"made": 1}
    alice.sync(answer["next_batch"])
    assert "to_device" not in alice.sync()


def test_what_may_be_redacted_unseen_is_in_no_answer_that_is_kept(server, alice, bob):
    room = alice.create_room(preset="private_chat", name="a bad name", invite=[bob.user_id])
    assert during(server, bob.sync) == {"made": 1}
    assert during(server, bob.sync) == {"made": 1}
