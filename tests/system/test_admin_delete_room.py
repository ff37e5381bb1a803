"""Deleting rooms: who was there, what is left of it."""

import os
import signal
import subprocess

import pytest

from mx import Client, quote, refusal
from server import CLUSTER, SECRET, Server, wait_for

V1, V2 = "/_synapse/admin/v1/rooms/", "/_synapse/admin/v2/rooms/"


def ended(admin, delete_id):
    status = admin.get(f"{V2}delete_status/{delete_id}")
    return status if status["status"] in ("complete", "failed") else None


def delete(admin, room, **body):
    """Deletes it in the background, and awaits the end."""
    delete_id = admin.delete(V2 + quote(room), body)["delete_id"]
    status = wait_for(lambda: ended(admin, delete_id), 60)
    assert status["status"] == "complete", status
    return status["shutdown_room"]


def assert_gone(admin, room, *users):
    assert refusal(admin.get, V1 + quote(room)).status == 404
    assert admin.get("/_synapse/admin/v1/rooms", {"search_term": room})["total_rooms"] == 0
    for c in users:
        assert room not in c.get("/joined_rooms")["joined_rooms"]
        assert refusal(c.messages, room).status == 403
        assert refusal(c.text, room, "into the void").status in (403, 404)
        assert refusal(c.state, room, "m.room.create").status == 403
        first = c.get("/sync", {"timeout": 0})
        assert room not in str(first.get("rooms", {}))


@pytest.mark.parametrize("version", ["11", "12"])
def test_a_room_goes_at_once_with_all_that_it_was(admin, alice, bob, version):
    room = alice.create_room(preset="public_chat", room_version=version)
    bob.join(room)
    event = bob.text(room, "x")
    alice.receipt(room, event)
    alice.put(f"/user/{quote(alice.user_id)}/rooms/{quote(room)}/tags/u.x", {"order": 0.5})
    for c in (alice, bob):
        c.next_sync()
    assert sorted(admin.delete(V1 + quote(room), {})["kicked_users"]) == sorted([alice.user_id, bob.user_id])
    assert_gone(admin, room, alice, bob)
    # an old token shows it as left, or nothing; and it does not hang
    for c in (alice, bob):
        later = c.next_sync()
        assert room not in later.get("rooms", {}).get("join", {})
    assert refusal(admin.get, f"/_synapse/admin/v1/fetch_event/{quote(event)}").status == 404
    assert refusal(bob.join, room).status == 404


def test_who_waits_hears_that_the_room_is_left(admin, alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    bob.next_sync()
    delete_id = admin.delete(V2 + quote(room), {})["delete_id"]
    bob.sync_until(lambda answer: room in answer.get("rooms", {}).get("leave", {}))
    wait_for(lambda: ended(admin, delete_id), 60)
    assert_gone(admin, room, bob)


def test_its_users_and_names_move_to_a_new_room(admin, alice, bob, new_user):
    carol = new_user("carol")
    name = "moved" + alice.user_id[1:].split(":")[0]
    room = alice.create_room(preset="public_chat", room_alias_name=name)
    bob.join(room)
    alice.invite(room, carol.user_id)
    result = delete(admin, room, new_room_user_id=admin.user_id, room_name="Instead", message="Why", block=True)
    new = result["new_room_id"]
    assert sorted(result["kicked_users"]) == sorted([alice.user_id, bob.user_id, carol.user_id]) and result["failed_to_kick_users"] == []
    assert result["local_aliases"] == [f"#{name}:test"]
    assert alice.get(f"/directory/room/{quote('#' + name + ':test')}")["room_id"] == new
    assert bob.state(new, "m.room.name")["name"] == "Instead" and bob.state(new, "m.room.power_levels")["users_default"] == -10
    assert bob.messages(new)["chunk"][0]["content"]["body"] == "Why"
    assert refusal(bob.text, new, "may not").status == 403
    assert refusal(carol.messages, new).status == 403  # was invited only
    assert refusal(bob.join, room).body["error"] == "This room has been blocked on this server"
    assert admin.get(f"{V1}{quote(room)}/block")["block"]


def test_without_purge_the_room_stays(admin, alice):
    room = alice.create_room()
    assert delete(admin, room, purge=False) == {
        "kicked_users": [alice.user_id], "failed_to_kick_users": [], "local_aliases": [], "new_room_id": None
    }  # fmt: skip
    assert admin.get(V1 + quote(room))["joined_members"] == 0
    assert [s["status"] for s in admin.get(f"{V2}{quote(room)}/delete_status")["results"]] == ["complete"]
    tasks = admin.get("/_synapse/admin/v1/scheduled_tasks", {"resource_id": room})["scheduled_tasks"]
    assert [(t["action"], t["status"]) for t in tasks] == [("shutdown_and_purge_room", "complete")]
    delete(admin, room)
    assert_gone(admin, room, alice)


def test_an_unknown_room_is_blocked_or_gone_already(admin):
    assert admin.delete(V1 + quote("!no:elsewhere.example"), {"block": True})["kicked_users"] == []
    assert admin.get(f"{V1}{quote('!no:elsewhere.example')}/block")["block"]
    assert admin.delete(V1 + quote("!none:test"), {}) == {"kicked_users": [], "failed_to_kick_users": [], "local_aliases": [], "new_room_id": None}


@pytest.mark.parametrize("room, body, errcode", [("!x:test", {"block": "x"}, "M_BAD_JSON"), ("!x:test", {"purge": 1}, "M_BAD_JSON"),
                                                 ("!x:test", {"force_purge": "x"}, "M_BAD_JSON"), ("x", {}, "M_UNKNOWN"),
                                                 ("!x:test", {"new_room_user_id": "@x:elsewhere"}, "M_UNKNOWN"), ("!x:test", {"message": 1}, "M_BAD_JSON")])  # fmt: skip
def test_bad_deletions_are_refused(admin, room, body, errcode):
    for base in (V1, V2):
        r = refusal(admin.delete, base + quote(room), {**body, **({"block": True} if "block" not in body else {})})
        assert (r.status, r.errcode) == (400, errcode)


def test_nobody_else_may_delete(admin, alice):
    room = alice.create_room()
    for base in (V1, V2):
        assert refusal(alice.delete, base + quote(room), {}).errcode == "M_FORBIDDEN"
    assert refusal(alice.get, f"{V2}{quote(room)}/delete_status").errcode == "M_FORBIDDEN"
    assert refusal(alice.get, f"{V2}delete_status/x").errcode == "M_FORBIDDEN"
    assert refusal(admin.get, f"{V2}{quote(room)}/delete_status").errcode == "M_NOT_FOUND"
    assert refusal(admin.get, f"{V2}delete_status/x").errcode == "M_NOT_FOUND"


# -- in the database ---------------------------------------------------------------------------------------------------


def tables_with(sql, room_nid):
    """Tables that have a row of the room."""
    found = []
    for table in sql("SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'room_nid'").split():
        if sql(f"SELECT 1 FROM {table} WHERE room_nid = {room_nid} LIMIT 1"):
            found.append(table)
    return found


@pytest.mark.skipif(CLUSTER, reason="looks into a private database and kills the process")
def test_a_killed_deletion_goes_on_and_leaves_no_row_anywhere():
    s = Server().start()
    try:
        owner = "hs" if os.getuid() == 0 else None
        psql = ["psql", "-h", f"{s.dir}/postgres.run", "-U", "hs", "-d", "hs", "-Atc"]
        sql = lambda text: subprocess.run([*psql, text], check=True, capture_output=True, text=True, user=os.stat(f"{s.dir}/postgres.run").st_uid if owner else None).stdout.strip()
        admin = Client(s.base).register_with_secret(SECRET, "admin", admin=True)
        alice, bob = (Client(s.base).register(n) for n in ("alice", "bob"))
        room = alice.create_room(preset="public_chat", visibility="public", room_alias_name="x")
        bob.join(room)
        for i in range(5):
            last = alice.text(room, f"@bob {i}")
        alice.redact(room, last)
        root = bob.text(room, "root")
        bob.send(room, content={"msgtype": "m.text", "body": "y", "m.relates_to": {"rel_type": "m.thread", "event_id": root}})
        bob.receipt(room, root)
        bob.put(f"/user/{quote(bob.user_id)}/rooms/{quote(room)}/account_data/m.x", {"a": 1})
        nid = sql(f"SELECT room_nid FROM room WHERE room_id = '{room}'")
        assert set(tables_with(sql, nid)) >= {"event", "timeline", "state_tip", "room_member", "user_room", "receipt", "relation", "thread", "alias",
                                              "published", "push_note", "account_data", "room_summary", "redaction", "txn_id"}  # fmt: skip
        delete_id = admin.delete(V2 + quote(room), {})["delete_id"]
        wait_for(lambda: sql(f"SELECT flags & 4 FROM room WHERE room_nid = {nid}") in ("4", ""))  # sealed: the rows are about to go
        s.process.send_signal(signal.SIGKILL)
        s.process.wait()
        s.start()
        wait_for(lambda: ended(admin, delete_id), 60)
        assert ended(admin, delete_id)["status"] == "complete"
        assert tables_with(sql, nid) == []
        assert_gone(admin, room, alice, bob)
    finally:
        s.close()
