"""Pushers: kept, shown, and gone with the sessions that made them."""

import base64
import hashlib
import hmac

import pytest

from mx import Client, refusal
from server import Server

URL = "https://push.example.org/_matrix/push/v1/notify"


def pusher(key="key", app="org.app", **extra):
    return {"kind": "http", "app_id": app, "app_display_name": "App", "device_display_name": "Phone", "pushkey": key,
            "lang": "en", "data": {"url": URL, "format": "event_id_only"}, **extra}


def keys(client):
    return [p["pushkey"] for p in client.get("/pushers")["pushers"]]


def test_a_pusher_is_kept_replaced_and_removed(bob):
    assert bob.get("/pushers") == {"pushers": []}
    assert bob.post("/pushers/set", pusher(profile_tag="work")) == {}
    assert bob.get("/pushers") == {"pushers": [pusher(profile_tag="work")]}
    bob.post("/pushers/set", pusher(lang=None, device_display_name="Tablet"))
    assert bob.get("/pushers") == {"pushers": [pusher(lang=None, device_display_name="Tablet", profile_tag="")]}
    bob.post("/pushers/set", pusher("other"))
    assert sorted(keys(bob)) == ["key", "other"]
    assert bob.post("/pushers/set", {"kind": None, "app_id": "org.app", "pushkey": "key"}) == {}
    assert keys(bob) == ["other"]
    assert bob.post("/pushers/set", {"kind": None, "app_id": "org.app", "pushkey": "nothing"}) == {}


def test_an_app_that_has_changed_hands_serves_its_new_user(alice, bob, new_user):
    key = alice.user_id  # nobody else's
    carol = new_user("carol")
    alice.post("/pushers/set", pusher(key))
    bob.post("/pushers/set", pusher(key, append=True))
    assert keys(alice) == keys(bob) == [key]
    carol.post("/pushers/set", pusher(key))
    assert keys(alice) == keys(bob) == [] and keys(carol) == [key]


@pytest.mark.parametrize("change,errcode,text", [
    ({"pushkey": ...}, "M_MISSING_PARAM", "Missing params: ['pushkey']"),
    ({"lang": ..., "data": ...}, "M_MISSING_PARAM", "Missing params: ['lang', 'data']"),
    ({"kind": "pigeon"}, "M_INVALID_PARAM", None),
    ({"kind": 5}, "M_INVALID_PARAM", None),
    ({"app_id": "a" * 65}, "M_INVALID_PARAM", None),
    ({"pushkey": "k" * 513}, "M_INVALID_PARAM", None),
    ({"pushkey": "a\0b"}, "M_INVALID_PARAM", None),
    ({"data": {}}, "M_MISSING_PARAM", "Config Error: 'url' required in data for HTTP pusher"),
    ({"data": {"url": 5}}, "M_MISSING_PARAM", "Config Error: 'url' must be a string"),
    ({"data": None}, "M_MISSING_PARAM", "Config Error: 'data' key can not be null for HTTP pusher"),
    ({"data": {"url": "https://x/notify"}}, "M_MISSING_PARAM", "Config Error: 'url' must have a path of '/_matrix/push/v1/notify'"),
    ({"data": {"url": "file:///_matrix/push/v1/notify"}}, "M_MISSING_PARAM", None),
    ({"data": {"url": URL, "x": "y" * 9000}}, "M_INVALID_PARAM", None),
    ({"data": {"url": URL, "x": "\0"}}, "M_INVALID_PARAM", None),
    ({"kind": "email", "pushkey": "bob@example.org"}, "M_THREEPID_NOT_FOUND", "Email not found"),
])
def test_bad_pushers_are_refused(bob, change, errcode, text):
    body = {k: v for k, v in pusher(**change).items() if v is not ...}
    r = refusal(bob.post, "/pushers/set", body)
    assert (r.status, r.errcode) == (400, errcode)
    assert text is None or r.body["error"] == text
    assert keys(bob) == []


# C17 a hundred pushers, and one more
def test_there_is_a_limit_to_the_number_of_pushers(bob):
    for i in range(100):
        bob.post("/pushers/set", pusher(f"k{i}"))
    assert refusal(bob.post, "/pushers/set", pusher("more")).status == 400
    bob.post("/pushers/set", pusher("k5", lang="de"))  # not one more
    assert len(keys(bob)) == 100


# N10 A13 pushers die with the session that made them
def test_pushers_end_with_their_device(bob, server):
    others = [Client(server.base).login(bob.user_id) for _ in range(3)]
    bob.post("/pushers/set", pusher("mine"))
    for i, o in enumerate(others):
        o.post("/pushers/set", pusher(f"o{i}"))
    bob.post("/pushers/set", pusher("o2", lang="de"))  # changed from here: stays with the device that made it
    others[0].post("/logout")
    assert sorted(keys(bob)) == ["mine", "o1", "o2"]
    body = {"new_password": "another good password 2"}
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": bob.user_id}, "password": "a good password 1"}
    r = refusal(bob.post, "/account/password", body)
    bob.post("/account/password", {**body, "auth": {**auth, "session": r.body["session"]}})
    assert keys(bob) == ["mine"]


def test_a_password_may_change_and_all_pushers_stay(bob, server):
    other = Client(server.base).login(bob.user_id)
    other.post("/pushers/set", pusher("theirs"))
    body = {"new_password": "another good password 2", "logout_devices": False}
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": bob.user_id}, "password": "a good password 1"}
    r = refusal(bob.post, "/account/password", body)
    bob.post("/account/password", {**body, "auth": {**auth, "session": r.body["session"]}})
    assert keys(bob) == ["theirs"]


def test_logging_out_everywhere_ends_all(bob, server):
    bob.post("/pushers/set", pusher("mine"))
    bob.post("/logout/all")
    assert keys(Client(server.base).login(bob.user_id)) == []


# -- links in mails ----------------------------------------------------------------------------------------------------
KEY = "a key of the operator"


@pytest.fixture(scope="module")
def mailing():
    s = Server(config={"macaroon_secret_key": KEY})
    s.start()
    yield s
    s.close()


def link_token(user, app="org.app", key="key", kind="delete_pusher", secret=KEY, extra=()):
    """As Synapse makes them: a macaroon of version 1."""
    mac = lambda k, text: hmac.new(k, text.encode(), hashlib.sha256).digest()
    packet = lambda name, value: b"%04x%s %s\n" % (len(name) + len(value) + 6, name, value)
    sig = mac(mac(b"macaroons-key-generator", secret), "key")
    out = packet(b"location", b"test") + packet(b"identifier", b"key")
    for caveat in ("gen = 1", f"type = {kind}", f"user_id = {user}", f"app_id = {app}", f"pushkey = {key}", *extra):
        sig = mac(sig, caveat)
        out += packet(b"cid", caveat.encode())
    return base64.urlsafe_b64encode(out + packet(b"signature", sig)).decode().rstrip("=")


@pytest.mark.parametrize("method,path", [("GET", "/_matrix/client/unstable/pushers/remove"), ("GET", "/_synapse/client/unsubscribe"), ("POST", "/_synapse/client/unsubscribe")])
def test_a_link_of_a_mail_of_synapse_removes_its_pusher(mailing, method, path):
    nobody = Client(mailing.base)
    erin = Client(mailing.base).register(f"erin-{method}-{path.count('/')}".lower())
    for key in ("key", "other"):
        erin.post("/pushers/set", pusher(key))
    query = {"access_token": link_token(erin.user_id), "app_id": "org.app", "pushkey": "key"}
    for _ in range(2):  # and again: no error
        r = nobody.raw(method, path, query=query, data=b"List-Unsubscribe=One-Click" if method == "POST" else None)
        assert r.status_code == 200 and "You have been unsubscribed" in r.text and r.headers["content-type"].startswith("text/html")
        assert keys(erin) == ["other"]


# A06 a link for something else
def test_no_other_link_removes_a_pusher(mailing):
    frank, path = Client(mailing.base).register("frank"), "/_synapse/client/unsubscribe"
    frank.post("/pushers/set", pusher())
    good = {"access_token": link_token(frank.user_id), "app_id": "org.app", "pushkey": "key"}
    for token in (link_token(frank.user_id, secret="another"), link_token(frank.user_id, kind="session"), link_token(frank.user_id, key="other"),
                  link_token(frank.user_id, extra=["guest = true"]), link_token(frank.user_id, extra=["user_id = @x:test"]), link_token("@frank:elsewhere"), "x", ""):
        r = refusal(frank.get, path, {**good, "access_token": token})
        assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
    assert refusal(frank.get, path, {**good, "pushkey": "other"}).status == 403
    for missing in good:
        r = refusal(frank.get, path, {k: v for k, v in good.items() if k != missing})
        assert (r.status, r.errcode) == (400, "M_MISSING_PARAM")
    assert keys(frank) == ["key"]
