"""The end of an account: closed at once and as a whole, its rooms left by a job that no crash ends."""

import itertools

import pytest

from mx import Client, quote, refusal
from server import NO_LIMIT, SECRET, Server, wait_for

ADMIN, V1 = "/_synapse/admin/v2/users/", "/_synapse/admin/v1"
# What a closed account is remembered by, and what rooms still show of it.
TOMBSTONE = {"account", "user_id", "profile", "room_member", "user_room", "receipt"}
PRESENT = "membership IN (1, 2, 5)"
_n = itertools.count()


@pytest.fixture(scope="module")
def house():
    s = Server(config={"max_event_delay_duration": "24h", "rc_delayed_event_mgmt": NO_LIMIT})
    s.start()
    yield s
    s.close()


@pytest.fixture
def ann(house):
    return Client(house.base).register(f"ann{next(_n)}")


@pytest.fixture
def ben(house):
    return Client(house.base).register(f"ben{next(_n)}")


@pytest.fixture
def boss(house):
    return Client(house.base).register_with_secret(SECRET, f"boss{next(_n)}", admin=True)


def deactivate(who, erase=False):
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": who.user_id}, "password": "a good password 1"}
    who.post("/account/deactivate", {"erase": erase, "auth": auth})


def number(house, who):
    return house.sql(f"SELECT user_nid FROM user_id WHERE mxid = '{who.user_id}'")


def tables_with(house, nid):
    tables = house.sql("SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'user_nid'").split()
    return {t for t in tables if house.sql(f"SELECT 1 FROM {t} WHERE user_nid = {nid} LIMIT 1")}


def ended(house, who):
    return house.sql(f"SELECT count(*) FROM job WHERE kind = 'deactivate_user' AND resource = '{who.user_id}' AND status = 2") != "0"


def live_through_everything(ann, ben, room):
    """Something of ann in as many tables as a client can reach."""
    me = quote(ann.user_id)
    ann.put(f"/user/{me}/account_data/m.ignored_user_list", {"ignored_users": {"@x:test": {}}})
    ann.put(f"/user/{me}/rooms/{quote(room)}/account_data/m.x", {"a": 1})
    ann.post(f"/user/{me}/filter", {"room": {"timeline": {"limit": 7}}})
    ann.put("/pushrules/global/content/x", {"actions": ["notify"], "pattern": "x"})
    ann.post("/pushers/set", {"app_id": "a", "pushkey": "k", "kind": "http", "app_display_name": "A", "device_display_name": "D", "lang": "en",
                              "data": {"url": "https://push.example.org/_matrix/push/v1/notify"}})
    ann.put(f"/profile/{me}/m.tz", {"m.tz": "Europe/Berlin"})
    ann.post(f"/user/{me}/openid/request_token", {})
    ann.put(f"/presence/{me}/status", {"presence": "online"})
    ben.put("/sendToDevice/m.x/1", {"messages": {ann.user_id: {"*": {"a": 1}}}})
    ben.text(room, f"{ann.user_id} x")
    ann.receipt(room, ann.text(room, "y"))
    ann.put(f"/rooms/{quote(room)}/send/m.room.message/d1?org.matrix.msc4140.delay=3600000", {"msgtype": "m.text", "body": "later"})
    Client(ann.base).login(ann.user_id, refresh_token=True)


# A10 of what names the user only a tombstone is left
@pytest.mark.parametrize("erase", [False, True])
def test_a_closed_account_leaves_a_tombstone(house, boss, ann, ben, erase):
    room = ben.create_room(preset="public_chat")
    ann.join(room)
    live_through_everything(ann, ben, room)
    boss.raw("PUT", ADMIN + quote(ann.user_id), {"threepids": [{"medium": "email", "address": f"{ann.user_id[1:5]}{erase}@example.org"}]})
    nid = number(house, ann)
    before = tables_with(house, nid)
    assert before >= {"threepid", "account_data", "ignored", "filter", "push_ruleset", "pusher", "profile_field", "short_token", "to_device",
                      "push_note", "delayed_event", "refresh_token", "access_token", "device", "txn_id"}  # fmt: skip
    deactivate(ann, erase)
    wait_for(lambda: ended(house, ann))
    left = TOMBSTONE | (set() if erase else {"profile_field"})
    assert tables_with(house, nid) <= left
    assert house.sql(f"SELECT count(*) FROM profile WHERE user_nid = {nid} AND displayname IS NOT NULL") == ("0" if erase else "1")


def test_rooms_are_left_and_invites_and_knocks_taken_back(ann, ben):
    joined = ben.create_room(preset="public_chat")
    invited = ben.create_room(invite=[ann.user_id])
    knocked = ben.create_room(initial_state=[{"type": "m.room.join_rules", "content": {"join_rule": "knock"}}])
    ann.join(joined)
    ann.post(f"/knock/{quote(knocked)}", {})
    deactivate(ann)
    for room in (joined, invited, knocked):
        wait_for(lambda room=room: ben.state(room, "m.room.member", ann.user_id)["membership"] == "leave")


# A10 whatever crashes: once it has been answered, the account is closed, and all its rooms will be left
def test_a_killed_end_goes_on():
    s = Server().start()
    try:
        ann, ben = (Client(s.base).register(n) for n in ("ann", "ben"))
        rooms = [ben.create_room(preset="public_chat") for _ in range(80)]
        for room in rooms:
            ann.join(room)
        nid = number(s, ann)
        here = lambda: int(s.sql(f"SELECT count(*) FROM user_room WHERE user_nid = {nid} AND {PRESENT}"))
        deactivate(ann)
        s.kill()
        rest = here()
        assert rest > 0
        assert s.sql(f"SELECT flags & 4, password_hash IS NULL FROM account WHERE user_nid = {nid}") == "4|t"
        assert tables_with(s, nid) <= TOMBSTONE
        s.start()
        wait_for(lambda: here() < rest, 60)
        s.kill()
        s.start()
        wait_for(lambda: here() == 0, 60)
        ben.base = s.base
        assert all(ben.state(room, "m.room.member", ann.user_id)["membership"] == "leave" for room in rooms)
    finally:
        s.close()


def test_an_account_that_is_opened_again_keeps_the_rooms_it_comes_into(house, boss, ann, ben):
    room = ben.create_room(preset="public_chat")
    ann.join(room)
    listed = lambda: [u["user_id"] for u in ben.post("/user_directory/search", {"search_term": ann.user_id})["results"]]
    assert listed() == [ann.user_id]
    deactivate(ann, erase=True)
    assert listed() == []
    wait_for(lambda: ended(house, ann))
    r = boss.raw("PUT", ADMIN + quote(ann.user_id), {"deactivated": False, "password": "a good password 2"})
    assert (r.status_code, r.json()["deactivated"], r.json()["erased"]) == (200, False, False)
    again = Client(house.base).login(ann.user_id, "a good password 2")
    again.join(room)
    again.text(room, "here again")
    assert listed() == [ann.user_id]
    assert ann.user_id in ben.get(f"/rooms/{quote(room)}/joined_members")["joined"]
    assert refusal(again.get, f"/profile/{quote(ann.user_id)}").status == 404


def test_tokens_by_which_administrators_act_end_with_the_account(house, boss, ann):
    acting = Client(house.base, boss.post(f"{V1}/users/{quote(ann.user_id)}/login", {})["access_token"])
    acting.get("/account/whoami")
    deactivate(ann)
    assert refusal(acting.get, "/account/whoami").errcode == "M_UNKNOWN_TOKEN"
