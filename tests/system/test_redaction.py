"""Taking back what was said: who may, in each version of rooms, and what is left of it."""

import itertools
import json
import subprocess

import pytest

from mx import Client, Refused, quote, refusal
from pg import Cluster
from server import CLUSTER, Server, wait_for

ALL = [str(v) for v in range(1, 13)]
_n = itertools.count(1)


def by_send(client, room, event):
    return client.send(room, "m.room.redaction", {"redacts": event, "reason": "sent"})


# C09 who may redact, in each room version, by both ways
@pytest.mark.parametrize("version", ALL)
def test_who_may_redact(alice, bob, new_user, version):
    carol = new_user("carol")
    room = alice.create_room(room_version=version, preset="public_chat",
                             power_level_content_override={"users": {} if version == "12" else {alice.user_id: 100}})
    bob.join(room)
    carol.join(room)
    power = alice.state(room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", {**power, "users": {**power["users"], carol.user_id: 49}, "redact": 50})
    for redact in (Client.redact, by_send):
        alices, bobs = alice.text(room, "by alice"), bob.text(room, "by bob")
        for who, what in ((bob, alices), (carol, alices), (carol, bobs)):
            r = refusal(redact, who, room, what)
            assert (r.status, r.errcode, r.body["error"]) == (403, "M_FORBIDDEN", "You don't have permission to redact events")
        assert "redacted_because" not in alice.event(room, alices)["unsigned"]
        own = redact(bob, room, bobs)
        seen = alice.event(room, bobs)
        assert seen["content"] == {} and seen["unsigned"]["redacted_because"]["event_id"] == own
        bobs = bob.text(room, "again")
        redact(alice, room, bobs)
        assert alice.event(room, bobs)["content"] == {}
        nothing = "$nothing:test" if version in ("1", "2") else "$nothing"
        r = refusal(redact, bob, room, nothing)
        assert (r.status, r.errcode) == (404, "M_NOT_FOUND")
        redact(alice, room, nothing)  # a moderator's stands, and does nothing
    alice.set_state(room, "m.room.power_levels", {**power, "users": {**power["users"], carol.user_id: 50}})
    carol.redact(room, alices)
    assert alice.event(room, alices)["content"] == {}
    bobs = bob.text(room, "x")
    alice.set_state(room, "m.room.power_levels", {**power, "events": {**power["events"], "m.room.redaction": 50}})
    assert refusal(bob.redact, room, bobs).status == 403  # the level of the redaction itself


# C09 where the event is named
@pytest.mark.parametrize("version", ALL)
def test_both_places_name_the_redacted_event(alice, room, version):
    room = alice.create_room(room_version=version)
    told = alice.sync()["next_batch"]
    event = alice.text(room, "x")
    redaction = alice.redact(room, event, reason="why")
    for seen in (alice.event(room, redaction),
                 [e for e in alice.sync(told)["rooms"]["join"][room]["timeline"]["events"] if e["type"] == "m.room.redaction"][0]):
        assert seen["redacts"] == event  # for clients that do not know version 11, and the other way round
        assert seen["content"]["reason"] == "why"
        if int(version) >= 11:
            assert seen["content"]["redacts"] == event
    if int(version) >= 11:
        r = refusal(alice.redact, room, event, redacts="$other")
        assert (r.status, r.errcode) == (400, "M_INVALID_PARAM")


# C09 events of other rooms are out of reach
def test_nothing_of_another_room_is_redacted(alice, bob, room):
    other = bob.create_room()
    secret = bob.text(other, "x")
    for who, where in ((alice, room), (bob, room)):
        r = refusal(who.redact, where, secret)
        assert (r.status, r.body["error"]) == (400, "Cannot redact event from a different room")
    assert bob.event(other, secret)["content"]["body"] == "x"
    for name in ("nonsense", "$" + "x" * 300, "$a\0b"):
        assert 400 <= refusal(bob.redact, room, name).status < 500


# C10 a create event stays what it is, and so does the room's version
@pytest.mark.parametrize("version", ALL)
def test_create_and_acl_events_are_not_redacted(alice, version):
    room = alice.create_room(room_version=version, creation_content={"type": "m.space"})
    acl = alice.set_state(room, "m.room.server_acl", {"allow": ["*"]})
    create = [e for e in alice.get(f"/rooms/{quote(room)}/state") if e["type"] == "m.room.create"][0]["event_id"]
    for redact in (Client.redact, by_send):
        for event in (create, acl):
            r = refusal(redact, alice, room, event)
            assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
    assert alice.state(room, "m.room.create")["type"] == "m.space"
    assert alice.text(room, "it goes on")


@pytest.mark.parametrize("version", ["1", "8", "9", "11", "12"])
def test_state_keeps_what_the_version_keeps(alice, bob, version):
    room = alice.create_room(room_version=version, preset="public_chat", name="A name", topic="A topic")
    bob.join(room)
    state = {(e["type"], e["state_key"]): e["event_id"] for e in alice.get(f"/rooms/{quote(room)}/state")}
    for key in (("m.room.name", ""), ("m.room.topic", ""), ("m.room.join_rules", ""), ("m.room.member", bob.user_id), ("m.room.power_levels", "")):
        alice.redact(room, state[key])
    assert alice.state(room, "m.room.name") == {} and alice.state(room, "m.room.topic") == {}
    assert alice.state(room, "m.room.join_rules") == {"join_rule": "public"}
    assert alice.state(room, "m.room.member", bob.user_id) == {"membership": "join"}
    power = alice.state(room, "m.room.power_levels")
    assert power["users"] == ({} if version == "12" else {alice.user_id: 100})
    assert ("invite" in power) == (int(version) >= 11) and "historical" not in power
    assert not bob.get(f"/rooms/{quote(room)}/joined_members")["joined"][bob.user_id].get("display_name")
    assert bob.text(room, "still a member")
    bob.put(f"/profile/{bob.user_id}/displayname", {"displayname": "Named again"})
    assert alice.state(room, "m.room.member", bob.user_id)["displayname"] == "Named again"


def test_what_relates_goes_with_its_own_redaction(alice, bob, room):
    root = alice.text(room, "root")
    like = bob.send(room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "+"}})
    edit = alice.send(room, content={"msgtype": "m.text", "body": "* new", "m.new_content": {"msgtype": "m.text", "body": "new"},
                                     "m.relates_to": {"rel_type": "m.replace", "event_id": root}})
    first, last = (bob.text(room, f"reply {i}", **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}}) for i in (1, 2))
    relations = alice.event(room, root)["unsigned"]["m.relations"]
    assert relations["m.thread"]["count"] == 2 and relations["m.thread"]["latest_event"]["event_id"] == last
    assert relations["m.replace"]["event_id"] == edit
    bob.redact(room, last)
    relations = alice.event(room, root)["unsigned"]["m.relations"]
    assert relations["m.thread"]["count"] == 1 and relations["m.thread"]["latest_event"]["event_id"] == first
    bob.redact(room, first)
    alice.redact(room, edit)
    bob.redact(room, like)
    assert "m.relations" not in alice.event(room, root)["unsigned"]
    listed = alice.get(f"/_matrix/client/v1/rooms/{room}/relations/{root}")["chunk"]
    assert not listed
    # the same may be said again
    assert bob.send(room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "+"}})


# -- nothing is left ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def watched():
    pg = Cluster()
    s = Server(config={"database": pg.create("watched"), "rc_admin_redaction": {"per_second": 0.001, "burst_count": 3},
                       "enable_search": True, "experimental_features": {"msc3912_enabled": True}})
    s.start()
    s.pg = pg
    yield s
    s.close()
    pg.close()


def dump(pg, word):
    """Tables whose rows have the word, in whatever form a text can have there."""
    done = subprocess.run([*pg.user, f"{pg.bin}/pg_dump", "-h", pg.dir, "-U", "hs", "-d", "watched", "--data-only", "--column-inserts"],
                          check=True, capture_output=True, text=True, cwd="/tmp").stdout
    found, forms = set(), (word, word.encode().hex())
    for line in done.splitlines():
        if line.startswith("INSERT INTO public.") and any(f in line for f in forms):
            found.add(line.split()[2].removeprefix("public."))
    return found


def everything(client, room, events, root):
    """What the server says about a room, by every path that says something."""
    r = quote(room)
    yield client.get("/sync", {"full_state": "true"})
    yield client.get(f"/rooms/{r}/messages", {"dir": "b", "limit": 100})
    yield client.get(f"/rooms/{r}/messages", {"dir": "f", "limit": 100})
    for e in events:
        yield client.event(room, e)
        yield client.get(f"/rooms/{r}/context/{quote(e)}", {"limit": 20})
        yield client.get(f"/_matrix/client/v1/rooms/{r}/relations/{quote(e)}")
    for path in ("state", "members", "joined_members", "aliases"):
        yield client.get(f"/rooms/{r}/{path}")
    yield client.get(f"/_matrix/client/v1/rooms/{r}/threads")
    yield client.post("/publicRooms", {})
    for optional in ("/notifications", f"/_matrix/client/v1/rooms/{r}/hierarchy", f"/_matrix/client/v1/room_summary/{r}"):
        answer = client.raw("GET", optional)
        yield answer.json()
    yield client.raw("POST", "/search", {"search_categories": {"room_events": {"search_term": "secret", "event_context": {}}}}).json()
    yield client.raw("POST", "/user_directory/search", {"search_term": "secret"}).json()


# C04 redacted content is nowhere: not in an answer, and in no table but the events' own, until its time is over
def test_redacted_content_is_gone_from_everywhere(watched):
    n = next(_n)
    ann, ben, zoe = (Client(watched.base).register(f"{name}{n}") for name in ("ann", "ben", "zoe"))
    word = f"secretword{n}xyzzy"
    room = ann.create_room(preset="public_chat", visibility="public")
    ben.join(room)
    root = ann.text(room, f"root {word} {ben.user_id}")
    about = {"rel_type": "m.thread", "event_id": root}
    said = [
        root,
        ann.send(room, content={"msgtype": "m.text", "body": f"* {word}", "m.new_content": {"msgtype": "m.text", "body": word},
                                "m.relates_to": {"rel_type": "m.replace", "event_id": root}}),
        ben.send(room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": word}}),
        ben.text(room, word, **{"m.relates_to": about}),
        ben.text(room, "reply", **{"m.relates_to": about, "org.example": {"deep": [word]}}),
        ben.send(room, f"org.example.{n}", {"file": {"url": f"mxc://test/{word}"}}),
        ann.set_state(room, "m.room.name", {"name": word}),
        ann.set_state(room, "m.room.topic", {"topic": word}),
        ann.set_state(room, "m.room.avatar", {"url": f"mxc://test/{word}"}),
        ann.set_state(room, "m.room.canonical_alias", {"org.example": word}),
        ann.set_state(room, "m.room.encryption", {"algorithm": f"org.example.{word}"}),
        ann.set_state(room, "org.example.state", {"s": word}, "k"),
        ben.set_state(room, "m.room.member", {"membership": "join", "displayname": word, "reason": word}, ben.user_id),
    ]
    ann.invite(room, zoe.user_id, reason=word)  # who was shown the name and the topic before they came
    said.append([e for e in ann.get(f"/rooms/{quote(room)}/members")["chunk"] if e["state_key"] == zoe.user_id][0]["event_id"])
    for who in (ann, ben, zoe):
        who.sync()
    assert word in json.dumps(list(everything(ben, room, said, root)))
    assert dump(watched.pg, word) > {"event"}
    for event in said:
        ann.redact(room, event) if event in (said[0], said[1]) or said.index(event) >= 6 and event != said[12] else ben.redact(room, event)
    for who in (ann, ben):
        for answer in everything(who, room, said, root):
            assert word not in json.dumps(answer), json.dumps(answer)[:2000]
    assert word not in json.dumps(zoe.sync())
    assert dump(watched.pg, word) == {"event"}


def test_moderators_have_a_limit_of_their_own(watched):
    n = next(_n)
    mod, ben = Client(watched.base).register(f"mod{n}"), Client(watched.base).register(f"said{n}")
    room = mod.create_room(preset="public_chat")
    ben.join(room)
    allowed = 0
    for event in [ben.text(room, str(i)) for i in range(7)]:
        try:
            mod.redact(room, event)
            allowed += 1
        except Refused as r:
            assert (r.status, r.errcode) == (429, "M_LIMIT_EXCEEDED")
            break
    assert 3 <= allowed <= (6 if CLUSTER else 3)  # each worker counts for itself
    for i in range(5):  # one's own are messages
        mod.redact(room, mod.text(room, str(i)))


def test_what_relates_goes_along_where_the_server_does_that(watched):
    n = next(_n)
    ann, ben = Client(watched.base).register(f"rel{n}"), Client(watched.base).register(f"ber{n}")
    room = ann.create_room(preset="public_chat")
    ben.join(room)
    root = ben.text(room, "root")
    by_ben = [ben.text(room, f"r{i}", **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}}) for i in range(60)]
    by_ann = ann.text(room, "ann", **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    like = ben.send(room, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "+"}})
    assert ben.get("/_matrix/client/versions")["unstable_features"]["org.matrix.msc3912"] is True
    wish = {"org.matrix.msc3912.with_relations": ["m.thread", "org.example.none"], "reason": "all of it"}
    assert refusal(ben.redact, room, root, **{**wish, "org.matrix.msc3912.with_relations": "m.thread"}).status == 400
    first = ben.redact(room, root, txn="with", **wish)
    assert ann.event(room, first)["content"] == {"reason": "all of it", "redacts": root}
    wait_for(lambda: all(ann.event(room, e)["content"] == {} for e in by_ben))
    assert ann.event(room, by_ben[0])["unsigned"]["redacted_because"]["content"]["reason"] == "all of it"
    assert ann.event(room, by_ann)["content"]["body"] == "ann"  # hers, and he has no power
    assert ann.event(room, like)["content"]
    ann.redact(room, like, **{"org.matrix.msc3912.with_relations": ["*"]})
    assert ben.redact(room, root, txn="with", **wish) == first


def test_the_redaction_of_an_event_that_is_not_here_is_shown_to_nobody(alice, bob, room):
    """As in Synapse: whether it may is not known."""
    token = bob.sync()["next_batch"]
    said = [alice.text(room, str(i)) for i in range(3)]
    idle = alice.redact(room, "$" + "x" * 43)
    real = alice.redact(room, said[1])
    shown = [said[0], said[1], said[2], real]
    for answer in (bob.sync(token), bob.sync()):
        events = [e["event_id"] for e in answer["rooms"]["join"][room]["timeline"]["events"]]
        assert events[-4:] == shown and idle not in events
    small = bob.sync(token, filter='{"room":{"timeline":{"limit":2}}}')["rooms"]["join"][room]["timeline"]
    assert [e["event_id"] for e in small["events"]] == shown[-2:]
    back = bob.messages(room, "b", **{"from": small["prev_batch"], "limit": 2})["chunk"]
    assert [e["event_id"] for e in back] == shown[1::-1]
    assert idle not in [e["event_id"] for e in bob.messages(room, "b", limit=50)["chunk"]]
    assert refusal(bob.event, room, idle).status == 404
