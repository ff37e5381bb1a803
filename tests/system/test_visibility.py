"""Who may see what: a table of readers, of what they had to do with a room, and of every way to read it. Every event of a room carries
a secret of its own; an answer is searched for secrets, wherever in it they are, and what it may hold is computed here anew."""

import json
import os
import random
import re
import subprocess
import threading

import pytest

from mx import Client, quote, refusal
from server import Server, program, wait_for

VISIBILITIES = ["world_readable", "shared", "invited", "joined"]


def secrets_in(response):
    return set(re.findall(r"secret-[0-9]+-", response.text))


@pytest.fixture(scope="module")
def house():
    """A server that lets guests in."""
    s = Server(config={"allow_guest_access": True})
    s.start()
    yield s
    s.close()


class Story:
    """A room of alice's, its events one after the other with their secrets, and whether bob may see each: by the visibility and his
    membership when it was sent, by what came after."""

    def __init__(self, alice, bob, visibility):
        self.alice, self.bob, self.n = alice, bob, 0
        self.visibility, self.membership = visibility, "leave"
        self.sent = []  # (secret, event id, visibility, bob's membership, what came of it)
        self.state = {}  # key → secret that holds now
        self.seen_state = set()  # what held in the room while bob was in it
        self.room = alice.create_room(preset="public_chat", initial_state=[
            {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": visibility}},
            {"type": "m.room.guest_access", "state_key": "", "content": {"guest_access": "can_join"}}])

    def secret(self):
        self.n += 1
        return f"secret-{self.n}-"

    def note(self, secret, event):
        self.sent.append([secret, event, self.visibility, self.membership, False])
        return event

    def say(self, **content):
        s = self.secret()
        return self.note(s, self.alice.send(self.room, content={"msgtype": "m.text", "body": s, **content}))

    def set(self, key="k"):
        s = self.secret()
        self.note(s, self.alice.set_state(self.room, "org.example.state", {"s": s}, key))
        self.state[key] = s
        if self.membership == "join":
            self.seen_state.add(s)

    def flip(self, visibility):
        self.alice.set_state(self.room, "m.room.history_visibility", {"history_visibility": visibility})
        self.visibility = visibility

    def scene(self):
        """A thread, an edit, a reference, a reaction and state, of each kind one."""
        root = self.say()
        self.say(**{"m.relates_to": {"rel_type": "m.thread", "event_id": root}})
        s = self.secret()
        self.note(s, self.alice.send(self.room, content={"msgtype": "m.text", "body": "* " + s, "m.new_content": {"msgtype": "m.text", "body": s},
                                                         "m.relates_to": {"rel_type": "m.replace", "event_id": root}}))
        self.say(**{"m.relates_to": {"rel_type": "m.reference", "event_id": root}})
        self.set()
        return root

    def become(self, membership):
        if membership == "join":
            self.bob.join(self.room)
            self.seen_state |= set(self.state.values())
            for e in self.sent:
                e[4] = True  # bob has joined since
        elif membership == "invite":
            self.alice.invite(self.room, self.bob.user_id)
        elif membership == "ban":
            self.alice.ban(self.room, self.bob.user_id)
        elif membership == "leave":
            if self.membership == "ban":
                self.alice.unban(self.room, self.bob.user_id)
            else:
                self.bob.leave(self.room)
        self.membership = membership

    def may_see(self):
        return {s for s, _, visibility, member, joined_since in self.sent
                if visibility == "world_readable" or member == "join" or visibility == "shared" and joined_since
                or visibility == "invited" and member == "invite"}


def reads(room, events, some):
    """Every way to read a room, as (method, path, query)."""
    at = f"/rooms/{quote(room)}"
    v1 = f"/_matrix/client/v1/rooms/{quote(room)}"
    relations = json.dumps({"lazy_load_members": True})
    yield from (("GET", f"{at}/{x}", q) for x, q in (
        ("state", {}), ("state/org.example.state/k", {}), ("state/org.example.state/k", {"format": "event"}), ("members", {}), ("joined_members", {}),
        ("messages", {"dir": "b", "limit": 100}), ("messages", {"dir": "f", "limit": 100, "filter": relations}), ("initialSync", {"limit": 100})))
    yield from (("GET", f"{v1}/{x}", q) for x, q in (("threads", {"limit": 50}), ("threads", {"include": "participated"}), ("hierarchy", {})))
    yield from (("GET", f"{v1}/timestamp_to_event", {"ts": ts, "dir": d}) for ts, d in ((0, "f"), (10**14, "b")))
    yield "GET", "/sync", {"filter": json.dumps({"room": {"include_leave": True, "timeline": {"limit": 100}}})}
    yield "GET", "/sync", {"full_state": "true", "filter": json.dumps({"room": {"timeline": {"limit": 1}, "include_leave": True}})}
    yield "GET", "/initialSync", {"limit": 100, "archived": "true"}
    yield "GET", f"/_matrix/client/v1/room_summary/{quote(room)}", {}
    for e in events:
        yield "GET", f"{at}/event/{quote(e)}", {}
        yield "GET", f"/events/{quote(e)}", {}
    for e in some:
        yield "GET", f"{at}/context/{quote(e)}", {"limit": 100}
        yield "GET", f"{v1}/relations/{quote(e)}", {"limit": 50}
        yield "GET", f"{v1}/relations/{quote(e)}", {"limit": 50, "recurse": "true", "dir": "f"}


# name → what bob does between four scenes that alice makes
ROLES = {
    "never": [None, None, None],
    "invited": ["invite", None, None],
    "left": ["join", "leave", None],
    "banned": ["join", "ban", None],
    "invited and gone": ["invite", "leave", None],
    "joined later": [None, "invite", "join"],
    "came back": ["join", "leave", "join"],
    "left and refused an invite": ["join", "leave", "invite", "leave"],
    "left and was banned": ["join", "leave", "ban"],
}


def play(house, alice, visibility, role):
    bob = Client(house.base)
    if role == "guest":
        bob._take(bob.post("/register?kind=guest", {}, token=False))
    else:
        bob.register(f"b{random.randrange(10**12)}")
    story = Story(alice, bob, visibility)
    story.scene()
    for step in ROLES.get(role, [None] * 3):
        if step:
            story.become(step)
        story.scene()
    return story


@pytest.fixture(scope="module")
def host(house):
    return Client(house.base).register("host")


# C01 no way to read a room shows more of it than its history visibility lets the reader see
# C03 nor does a view that is derived from it
@pytest.mark.parametrize("visibility", VISIBILITIES)
@pytest.mark.parametrize("role", [*ROLES, "guest"])
def test_nothing_is_read_that_may_not_be_seen(house, host, visibility, role):
    story = play(house, host, visibility, role)
    events = [e for _, e, *_ in story.sent]
    allowed = story.may_see() | story.seen_state
    if visibility == "world_readable" and story.membership not in ("join",):
        allowed |= set(story.state.values())
    for method, path, query in reads(story.room, events, [e for i, e in enumerate(events) if i % 5 in (0, 4)]):
        r = story.bob.raw(method, path, None, query)
        assert r.status_code in (200, 403, 404), (path, r.status_code, r.text[:300])
        found = secrets_in(r)
        assert found <= allowed, f"{method} {path} {query}: {sorted(found - allowed)} in {r.text[:2000]}"
        if "/event/" in path:
            secret = next(s for s, e, *_ in story.sent if quote(e) == path.rsplit("/", 1)[1])
            assert r.status_code == 404 or secret in found
            # who has left sees with /event, as with Synapse, only what was said while they were there
            assert r.status_code == 200 or secret not in story.may_see() or story.membership in ("leave", "ban")
    if story.membership == "join":  # and what may be seen is shown
        page = secrets_in(story.bob.raw("GET", f"/rooms/{quote(story.room)}/messages", None, {"dir": "b", "limit": 100}))
        assert story.may_see() <= page <= allowed


# C01 a token from after the stay, or from before it, shows nobody who was in the room then
def test_members_at_a_token_are_for_who_was_there_then(alice, new_user):
    bob, eve = new_user("bob"), new_user("eve")
    room = alice.create_room(preset="public_chat")
    before = alice.sync()["next_batch"]
    bob.join(room)
    there = bob.sync()["next_batch"]
    bob.leave(room)
    eve.join(room)
    after = alice.sync()["next_batch"]
    alice.text(room, "later")
    path = f"/rooms/{quote(room)}/members"
    assert {e["state_key"] for e in bob.get(path, {"at": there})["chunk"]} == {alice.user_id, bob.user_id}
    for at in (before, after, "s" + after[1:].split("_")[0]):
        assert refusal(bob.get, path, {"at": at}).status == 403
    assert eve.user_id in {e["state_key"] for e in alice.get(path, {"at": after})["chunk"]}
    assert eve.user_id not in {e["state_key"] for e in bob.get(path)["chunk"]}


# C02 who is not in a room can not tell it from one that is not there, whatever the request
def test_a_closed_room_and_none_are_answered_alike(alice, new_user):
    eve, nowhere = new_user("eve"), "!nowhere:" + alice.user_id.split(":", 1)[1]
    closed = alice.create_room(preset="private_chat")
    event = alice.text(closed, "secret")
    known = "$" + "A" * 43
    fill = {"eventId": event, "eventType": "m.room.message", "stateKey...": "x", "txnId": "t", "receiptType": "m.read", "userId": eve.user_id, "tag": "u.x",
            "type": "org.example.x", "relType": "m.thread", "threadRootId": event}
    body = {"user_id": alice.user_id, "typing": True, "timeout": 1000, "m.read": event, "new_version": "10", "visibility": "private", "body": "x",
            "msgtype": "m.text"}
    lines = subprocess.run([program(), "routes"], capture_output=True, text=True, check=True).stdout.splitlines()
    seen, told = 0, []
    apart = [  # where there is no way to hide it
        ("GET", "/directory/list/room/"),  # a public list, in which a room that is not published is said not to be; the specification wants 404 for none
        ("POST", "/join/"), ("POST", "/join"), ("PUT", "/join/"), ("POST", "/knock/"),  # a room that is not here may be elsewhere, and is asked for there
    ]
    for line in lines:
        method, path, auth, *_ = line.split("\t")
        name = re.search(r"\{(roomId|roomIdOrAlias)\}", path)
        if not name or "/admin/" in path or "/federation/" in path or auth == "server" or "/api/v1/" in path or "/r0/" in path:
            continue
        answers = []
        for room in (closed, nowhere):
            full = path.replace(name.group(0), quote(room)).replace("{eventId}", quote(event if room == closed else known))
            full = re.sub(r"\{([^}]*)\}", lambda m: quote(fill[m.group(1)]), full)
            query = {"ts": 0} if path.endswith("timestamp_to_event") else None
            r = eve.raw(method, full, body if method in ("PUT", "POST") else None, query)
            answers.append((r.status_code, r.text.replace(quote(room), "R").replace(room, "R").replace(event, "E").replace(known, "E")))
        assert answers[0][0] < 500, (path, answers)
        if answers[0] != answers[1] and not any(method == m and (path.endswith(p) if p == "/join" else p in path) for m, p in apart):
            told.append((method, path, answers))
        seen += 1
    assert seen > 50 and not told, "\n".join(map(str, told))


# C06 what held when an event was sent decides who sees it, not what holds now: any order of changes of visibility and membership
@pytest.mark.parametrize("seed", range(8))
def test_visibility_and_membership_may_change_in_any_order(alice, bob, seed):
    dice = random.Random(seed)
    story = Story(alice, bob, dice.choice(VISIBILITIES))
    steps = {"leave": ["invite", "join", "ban"], "invite": ["join", "leave"], "join": ["leave", "ban"], "ban": ["leave"]}
    for _ in range(24):
        kind = dice.choice(["say", "say", "set", "flip", "move", "move"])
        if kind == "say":
            story.say()
        elif kind == "set":
            story.set(dice.choice("kl"))
        elif kind == "flip":
            story.flip(dice.choice(VISIBILITIES))
        else:
            story.become(dice.choice(steps[story.membership]))
        story.say()
    may, allowed = story.may_see(), story.may_see() | story.seen_state
    if story.visibility == "world_readable":
        allowed |= set(story.state.values())
    pages = [bob.raw("GET", f"/rooms/{quote(story.room)}/messages", None, {"dir": d, "limit": 100}) for d in "bf"]
    for page in pages:
        assert secrets_in(page) <= allowed
        assert story.membership != "join" or may <= secrets_in(page)
    for secret, event, *_ in story.sent:
        r = bob.raw("GET", f"/rooms/{quote(story.room)}/event/{quote(event)}")
        assert r.status_code == 404 or secret in may
        assert secrets_in(r) <= allowed
        assert r.status_code == 200 or secret not in may or story.membership != "join"
    whole = json.dumps({"room": {"include_leave": True, "timeline": {"limit": 100}}})
    assert secrets_in(bob.raw("GET", "/sync", None, {"filter": whole})) <= allowed


# C05 from the moment of a kick or a ban on, a sync shows nothing that comes after it, also one that waits
@pytest.mark.parametrize("way", ["kick", "ban", "leave"])
def test_who_is_out_hears_nothing_more(alice, bob, way):
    room = alice.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}])
    bob.join(room)
    bob.next_sync()
    other = bob.create_room()
    heard, end = [], threading.Event()

    def listen():
        while not end.is_set():
            r = bob.raw("GET", "/sync", None, {"since": bob.since, "timeout": 2000}, timeout=60)
            heard.append(r.text)
            bob.since = r.json()["next_batch"]

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        for i in range(int(os.environ.get("HS_ROUNDS", "12"))):
            alice.text(room, f"open-{i}-")
            {"kick": lambda: alice.kick(room, bob.user_id), "ban": lambda: alice.ban(room, bob.user_id), "leave": lambda: bob.leave(room)}[way]()
            alice.text(room, f"secret-{i}-")
            alice.set_state(room, "org.example.s", {"s": f"secret-{i}-"}, str(i))
            alice.typing(room)
            alice.set_state(room, "org.example.s", {}, str(i))
            if way == "ban":
                alice.unban(room, bob.user_id)
            assert wait_for(lambda: f"open-{i}-" in "".join(heard))
            bob.join(room)
        last = Client(bob.base, bob.token).text(other, "the end")
        assert wait_for(lambda: last in "".join(heard))
    finally:
        end.set()
        listener.join()
    text = "".join(heard)
    assert "secret-" not in text and alice.user_id in text


# C07 an event of another room is, wherever one may be named, like none: the same answer and no effect
def test_an_event_of_another_room_is_like_none(alice, bob, new_user):
    eve = new_user("eve")
    mine = alice.create_room(preset="public_chat")
    eve.join(mine)
    closed, open_ = alice.create_room(), alice.create_room(preset="public_chat")
    eve.join(open_)
    foreign = [alice.text(closed, "secret-1-"), alice.text(open_, "elsewhere")]
    here, none = alice.text(mine, "here"), "$" + "B" * 43
    at, v1 = f"/rooms/{quote(mine)}", f"/_matrix/client/v1/rooms/{quote(mine)}"

    def calls(e, n):
        q = quote(e)

        def rel(kind, **more):
            return {"msgtype": "m.text", "body": "x", "m.relates_to": {"rel_type": kind, "event_id": e, **more}}

        yield "POST", f"{at}/receipt/m.read/{q}", {}
        yield "POST", f"{at}/receipt/m.read.private/{q}", {}
        yield "POST", f"{at}/receipt/m.fully_read/{q}", {}
        yield "POST", f"{at}/receipt/m.read/{quote(here)}", {"thread_id": e}
        for key in ("m.read", "m.read.private", "m.fully_read"):
            yield "POST", f"{at}/read_markers", {key: e}
        yield "GET", f"{at}/event/{q}", None
        yield "GET", f"{at}/context/{q}", None
        yield "GET", f"{v1}/relations/{q}", None
        yield "GET", f"{v1}/relations/{q}/m.thread", None
        yield "PUT", f"{at}/send/m.reaction/{n}a", rel("m.annotation", key="k")
        for i, kind in enumerate(("m.thread", "m.replace", "m.reference", "org.example.odd")):
            yield "PUT", f"{at}/send/m.room.message/{n}b{i}", rel(kind)
        yield "POST", f"{at}/report/{q}", {"reason": "r"}

    for f, n in zip(foreign, "xy"):
        for (method, path, body), (_, path2, body2) in zip(calls(f, n), calls(none, n + "z")):
            r, s = eve.raw(method, path, body), eve.raw(method, path2, body2)
            assert (r.status_code, r.text.replace(f, none)) == (s.status_code, s.text), (method, path)
            assert "secret-" not in r.text and r.status_code < 500
            assert r.status_code in (400, 403, 404) or r.json() == {}
    fully = refusal(eve.get, f"/user/{quote(eve.user_id)}{at}/account_data/m.fully_read")
    assert fully.status == 404
    told = [e["type"] for e in alice.sync()["rooms"]["join"][mine]["ephemeral"]["events"]]
    assert "m.receipt" not in told
    assert [e["event_id"] for e in alice.messages(mine, limit=1)["chunk"]] == [here]
    relations = [alice.get(f"{v1}/relations/{quote(here)}")["chunk"], alice.get(f"/_matrix/client/v1/rooms/{quote(open_)}/relations/{quote(foreign[1])}")["chunk"]]
    assert relations == [[], []]


def test_a_receipt_is_for_members_only(alice, bob, new_user):
    room = alice.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "world_readable"}}])
    e, stranger = alice.text(room, "read by all"), new_user("stranger")
    assert stranger.event(room, e)["event_id"] == e
    assert refusal(stranger.receipt, room, e).status == 403
    bob.join(room)
    bob.receipt(room, e)


def test_events_that_only_tie_heads_together_are_shown_to_nobody(alice, bob):
    """Nor are aliases, but as state: nobody could redact what is wrong in them."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    alice.next_sync()
    bob.next_sync()
    dummy = alice.send(room, "org.matrix.dummy_event", {})
    alice.set_state(room, "m.room.aliases", {"aliases": []}, "test")
    last = alice.text(room, "after")
    for user in (alice, bob):
        shown = [e["type"] for e in user.next_sync()["rooms"]["join"][room]["timeline"]["events"]]
        assert shown == ["m.room.message"]
        shown = [e["type"] for e in user.messages(room, limit=3)["chunk"]]
        assert shown[0] == "m.room.message" and not {"org.matrix.dummy_event", "m.room.aliases"} & set(shown)
        assert refusal(user.event, room, dummy).status == 404
        around = user.get(f"/rooms/{room}/context/{last}?limit=4")
        assert dummy not in [e["event_id"] for e in around["events_before"]]
