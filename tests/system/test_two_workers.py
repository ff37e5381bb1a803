"""What two workers do at once, and what a worker leaves behind that dies."""

import json
import threading

import pytest

from mx import Client, quote
from server import free_port, wait_for
from workers import Site


@pytest.fixture
def site(postgres, redis):
    s = Site(postgres, redis)
    yield s
    s.close()


@pytest.fixture
def two(site):
    """The addresses of two workers, and alice at the first of them."""
    ports = [free_port(), free_port()]
    for i, port in enumerate(ports):
        site.role("client", f"client{i}", port)
    bases = [f"http://127.0.0.1:{port}" for port in ports]
    return bases, Client(bases[0]).register("alice")


def at(base, client):
    """The same device at another worker."""
    other = Client(base, client.token)
    other.user_id, other.device_id, other.since = client.user_id, client.device_id, client.since
    return other


def all_at_once(calls):
    failed = []

    def run(call):
        try:
            call()
        except Exception as e:
            failed.append(e)

    threads = [threading.Thread(target=run, args=(c,)) for c in calls]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed, failed


def test_tags_that_two_workers_give_a_room_at_once_are_all_there(two):
    bases, alice = two
    room = alice.create_room()
    path = f"/user/{alice.user_id}/rooms/{quote(room)}/tags"
    names = [f"u.{i}" for i in range(24)]
    all_at_once([lambda i=i, n=n: at(bases[i % 2], alice).put(f"{path}/{n}", {"order": i / 100}) for i, n in enumerate(names)])
    for base in bases:
        assert sorted(at(base, alice).get(path)["tags"]) == sorted(names)
    keep = names[::3]
    all_at_once([lambda i=i, n=n: at(bases[i % 2], alice).delete(f"{path}/{n}") for i, n in enumerate(names) if n not in keep])
    assert sorted(alice.get(path)["tags"]) == sorted(keep)


def test_what_was_said_of_a_room_follows_it_though_the_worker_that_replaces_it_dies(site, postgres):
    """Nobody does jobs while the room is replaced, and who replaced it is killed."""
    port = free_port()
    client = site.role("client", "client0", port)
    alice, bob = (Client(f"http://127.0.0.1:{port}").register(n) for n in ("alice", "bob"))
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.put(f"/user/{bob.user_id}/rooms/{quote(room)}/tags/m.favourite", {"order": 0.5})
    bob.put(f"/user/{bob.user_id}/account_data/m.direct", {alice.user_id: [room]})
    bob.put(f"/pushrules/global/room/{quote(room)}", {"actions": []})
    asking = threading.Thread(target=lambda: pytest.raises(Exception, alice.post, f"/rooms/{quote(room)}/upgrade", {"new_version": "10"}))
    asking.start()
    then = bob.sync_until(lambda a: [e["content"]["replacement_room"] for e in a.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", []) if e["type"] == "m.room.tombstone"])[0]
    client.kill()
    asking.join()
    site.role("client", "client1", port)
    site.role("background", "background1", free_port())
    wait_for(lambda: then in json.dumps(bob.get("/pushrules/global/room/")))
    assert bob.get(f"/user/{bob.user_id}/rooms/{quote(then)}/tags")["tags"] == {"m.favourite": {"order": 0.5}}
    assert bob.get(f"/user/{bob.user_id}/account_data/m.direct") == {alice.user_id: [room, then]}
