"""What is answered from memory and what is answered from the database is the same."""

import json

import pytest

from mx import Client
from server import Server

LAZY = json.dumps({"room": {"timeline": {"limit": 5, "unread_thread_notifications": True}, "state": {"lazy_load_members": True}}})


@pytest.fixture
def own_server():
    s = Server().start()
    yield s
    s.close()


def without_presence(answers):
    """Who is there is told anew to who asks."""
    return [{k: v for k, v in a.items() if k != "presence"} for a in answers]


def timeless(x):
    """Without what depends on the moment of asking."""
    if isinstance(x, dict):
        return {k: timeless(v) for k, v in x.items() if k not in ("age", "next_batch")}
    return [timeless(v) for v in x] if isinstance(x, list) else x


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_changes_nothing_of_what_a_sync_shows(own_server, end):
    alice, bob, carol = (Client(own_server.base).register(n) for n in ("alice", "bob", "carol"))
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    carol.join(room)
    alice.create_room(preset="private_chat", invite=[bob.user_id])
    token = bob.sync()["next_batch"]
    said = [(alice, carol)[i % 2].text(room, f"{i} bob" if i % 5 == 0 else str(i)) for i in range(25)]
    alice.text(room, "in a thread", **{"m.relates_to": {"rel_type": "m.thread", "event_id": said[3]}})
    alice.text(room, "* edited", **{"m.new_content": {"msgtype": "m.text", "body": "edited"},
                                    "m.relates_to": {"rel_type": "m.replace", "event_id": said[24]}})
    bob.receipt(room, said[9])
    carol.receipt(room, said[19])
    alice.redact(room, said[22])
    alice.set_state(room, "m.room.topic", {"topic": "x"})

    def shown():
        return without_presence(timeless([
            bob.sync(),
            bob.sync(token),
            bob.sync(token, full_state="true"),
            bob.sync(filter=LAZY),
            alice.sync(filter=LAZY),
            carol.sync(),
        ]))

    before = shown()
    counts = before[0]["rooms"]["join"][room]["unread_notifications"]
    assert counts == {"notification_count": 15, "highlight_count": 3}
    getattr(own_server, end)()
    own_server.start()
    assert shown() == before, "from the database"
    assert shown() == before, "from memory again"
