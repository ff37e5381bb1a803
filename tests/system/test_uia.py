"""User-interactive authentication of many stages, by requests and by pages; terms; tokens that a registration needs."""

import concurrent.futures
import hashlib
import hmac
import html
import os
import re
import tempfile

import pytest

from mx import Client, refusal
from server import CLUSTER, SECRET, Server

PASSWORD = "a good password 1"
TOKEN, TERMS, DUMMY = "m.login.registration_token", "m.login.terms", "m.login.dummy"
POLICY = """<!doctype html><html><head><title>Policy</title><style>p { color: red }</style></head><body>
{# for everybody #}{% if has_consented %}<p>Already agreed.</p>{% else %}<p>Terms {{ version }}.</p>
{% if not public_version %}<form method="post" action="consent"><input type="hidden" name="v" value="{{version}}"/>
<input type="hidden" name="u" value="{{user}}"/><input type="hidden" name="h" value="{{userhmac}}"/></form>{% endif %}{% endif %}
</body></html>"""


@pytest.fixture(scope="module")
def gate():
    """A server that asks for a token and for agreement."""
    pages = tempfile.TemporaryDirectory(prefix="hs-terms-")
    os.chmod(pages.name, 0o755)
    os.mkdir(os.path.join(pages.name, "en"))
    for name, text in (("1.0", POLICY), ("success", "<p>Thanks.</p>"), ("broken", "<script>{{ version }}</script>")):
        with open(os.path.join(pages.name, "en", name + ".html"), "w") as f:
            f.write(text)
    s = Server(
        name="gate",
        config={
            "registration_requires_token": True,
            "auto_join_rooms": ["#lobby:gate"],
            "public_baseurl": "https://gate/",
            "form_secret": "only the server knows",
            "user_consent": {"version": "1.0", "template_dir": pages.name, "policy_name": "House rules", "require_at_registration": True,
                             "block_events_error": "Agree at %(consent_uri)s first"},
        },
    )
    s.config["listeners"][0]["resources"][0]["names"].append("consent")
    s.start()
    yield s
    s.close()
    pages.cleanup()


@pytest.fixture
def visitor(gate):
    return Client(gate.base)


def refused(r):
    return r.status_code, r.json()["errcode"]


def token(gate, name, uses="NULL"):
    gate.sql(f"INSERT INTO registration_token(token, uses_allowed, pending, completed) VALUES ('{name}', {uses}, 0, 0)")
    return name


def uses(gate, name):
    return gate.sql(f"SELECT pending, completed FROM registration_token WHERE token = '{name}'")


def begin(visitor, name):
    r = visitor.raw("POST", "/register", {"username": name, "password": PASSWORD})
    assert r.status_code == 401, r.text
    return r.json()


def stage(visitor, session, type, **more):
    return visitor.raw("POST", "/register", {"auth": {"type": type, "session": session, **more}})


def page(visitor, session, type, **more):
    return visitor.raw("POST", f"/auth/{type}/fallback/web", data={"session": session, **more})


def test_the_flow_names_its_stages_and_the_terms(visitor):
    body = begin(visitor, "flow")
    assert body["flows"] == [{"stages": [TOKEN, TERMS, DUMMY]}]
    policy = {"version": "1.0", "en": {"name": "House rules", "url": "https://gate/_matrix/consent?v=1.0"}}
    assert body["params"] == {TERMS: {"policies": {"privacy_policy": policy}}}


def test_a_registration_goes_on_stage_by_stage_and_ends_with_all_of_them(gate, visitor):
    token(gate, "stages", 2)
    session = begin(visitor, "stages")["session"]
    r = stage(visitor, session, TERMS)
    assert (r.status_code, r.json()["completed"]) == (401, [TERMS])
    r = stage(visitor, session, TOKEN, token="wrong")
    assert (r.status_code, r.json()["errcode"], r.json()["completed"]) == (401, "M_UNAUTHORIZED", [TERMS])
    assert stage(visitor, session, TOKEN).json()["errcode"] == "M_MISSING_PARAM"
    assert stage(visitor, session, TOKEN, token=1).json()["errcode"] == "M_INVALID_PARAM"
    r = stage(visitor, session, TOKEN, token="stages")
    assert (r.status_code, set(r.json()["completed"])) == (401, {TERMS, TOKEN})
    assert uses(gate, "stages") == "1|0"
    assert stage(visitor, session, TOKEN, token="other").json()["error"] == "Registration token has changed"
    stage(visitor, session, TOKEN, token="stages")
    assert uses(gate, "stages") == "1|0"
    done = stage(visitor, session, DUMMY)
    assert done.status_code == 200 and done.json()["user_id"] == "@stages:gate"
    assert uses(gate, "stages") == "0|1"


def test_a_session_registers_once_and_says_whom_again(gate, visitor):
    token(gate, "once", 5)
    session = begin(visitor, "once")["session"]
    stage(visitor, session, TERMS)
    stage(visitor, session, TOKEN, token="once")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: stage(Client(gate.base), session, DUMMY), range(4)))
    assert {r.json().get("user_id") for r in answers if r.status_code == 200} == {"@once:gate"}
    assert all(r.status_code == 200 or r.json()["errcode"] == "M_USER_IN_USE" for r in answers)
    r = visitor.raw("POST", "/register", {"username": "someoneelse", "password": PASSWORD, "auth": {"type": DUMMY, "session": session}})
    assert (r.status_code, r.json()["error"]) == (400, "A different user ID has already been registered for this session")
    assert uses(gate, "once") == "0|1"


# A11
def test_of_many_registrations_as_many_succeed_as_the_token_has_uses(gate):
    token(gate, "five", 5)

    def register(i):
        c = Client(gate.base)
        session = begin(c, f"five{i}")["session"]
        stage(c, session, TERMS)
        stage(c, session, TOKEN, token="five")
        return stage(c, session, DUMMY).status_code

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        codes = list(pool.map(register, range(100)))
    assert (codes.count(200), codes.count(401)) == (5, 95)
    assert uses(gate, "five") == "0|5"
    assert gate.sql("SELECT count(*) FROM account WHERE localpart LIKE 'five%'") == "5"


def test_whether_a_token_is_valid_can_be_asked(gate, visitor):
    path = "/_matrix/client/v1/register/m.login.registration_token/validity"
    token(gate, "asked", 1)
    gate.sql("INSERT INTO registration_token(token, pending, completed, expires_ts) VALUES ('late', 0, 0, 1000)")
    assert visitor.get(path, {"token": "asked"}) == {"valid": True}
    assert visitor.get(path, {"token": "late"}) == {"valid": False}
    session = begin(visitor, "asked")["session"]
    stage(visitor, session, TOKEN, token="asked")
    assert visitor.get(path, {"token": "asked"}) == {"valid": False}


def test_stages_can_be_done_on_pages(gate, visitor):
    token(gate, "pages", 1)
    session = begin(visitor, "pages")["session"]
    r = visitor.raw("GET", f"/auth/{TERMS}/fallback/web", query={"session": session})
    assert r.status_code == 200 and 'href="https://gate/_matrix/consent?v=1.0"' in r.text
    r = page(visitor, session, TOKEN, token="wrong")
    assert r.status_code == 200 and "Invalid registration token" in r.text and "onAuthDone" not in r.text
    for r in (page(visitor, session, TERMS), page(visitor, session, TOKEN, token="pages")):
        assert r.status_code == 200 and "onAuthDone" in r.text
        script = re.search("<script>(.*)</script>", r.text).group(1)
        digest = __import__("base64").b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in r.headers["Content-Security-Policy"]
    assert stage(visitor, session, DUMMY).json()["user_id"] == "@pages:gate"


def test_pages_need_a_session_that_exists_and_a_stage_that_has_one(visitor):
    session = begin(visitor, "nopage")["session"]
    assert refused(visitor.raw("GET", f"/auth/{TERMS}/fallback/web")) == (400, "M_UNKNOWN")
    assert refused(visitor.raw("GET", "/auth/m.login.password/fallback/web", query={"session": session})) == (404, "M_UNKNOWN")
    assert refused(page(visitor, "nobody", TERMS)) == (400, "M_UNKNOWN")
    assert refused(page(visitor, session, TOKEN)) == (400, "M_MISSING_PARAM")
    r = visitor.raw("POST", f"/auth/{TERMS}/fallback/web", data={"session": session}, headers={"Sec-Fetch-Site": "cross-site"})
    assert refused(r) == (403, "M_FORBIDDEN")


HOSTILE = "\"'><svg onload=alert(1)>&{{ x }}"


# C15
def test_what_visitors_send_is_text_on_every_page(gate, visitor):
    mac = hmac.new(b"only the server knows", HOSTILE.encode(), hashlib.sha256).hexdigest()
    pages = [
        visitor.raw("GET", f"/auth/{TERMS}/fallback/web", query={"session": HOSTILE}),
        visitor.raw("GET", f"/auth/{TOKEN}/fallback/web", query={"session": HOSTILE, "token": HOSTILE}),
        visitor.raw("GET", "/_matrix/consent", query={"v": "1.0", "x": HOSTILE}),
    ]
    for r in pages:
        assert r.status_code == 200, r.text
        assert "<svg" not in r.text and HOSTILE not in r.text
        assert r.headers["X-Frame-Options"] == "DENY" and r.headers["X-Content-Type-Options"] == "nosniff"
        assert r.headers["Referrer-Policy"] == "no-referrer" and "Access-Control-Allow-Origin" not in r.headers
        policy = r.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "form-action 'self'" in policy
    assert f'value="{html.escape(HOSTILE).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")}"' in pages[0].text
    for query in ({"v": HOSTILE}, {"u": HOSTILE, "h": mac}, {"u": "x", "h": HOSTILE}, {"v": "../en/1.0"}, {"v": "broken"}):
        r = visitor.raw("GET", "/_matrix/consent", query=query)
        assert r.status_code >= 400 and r.headers["Content-Type"] == "application/json"


def test_agreeing_is_remembered_and_opens_the_first_rooms(gate, visitor):
    made = Client(gate.base).register_with_secret(SECRET, "agrees")
    made.get("/account/whoami")
    r = made.raw("POST", "/createRoom", {})
    assert refused(r) == (403, "M_CONSENT_NOT_GIVEN")
    uri = r.json()["consent_uri"]
    assert r.json()["error"] == f"Agree at {uri} first" and uri.startswith("https://gate/_matrix/consent?u=agrees&h=")
    assert visitor.raw("GET", uri[len("https://gate"):]).status_code == 200
    made.put(f"/profile/{made.user_id}/displayname", {"displayname": "Reader"})
    assert made.get("/joined_rooms")["joined_rooms"] == []
    mac = hmac.new(b"only the server knows", b"agrees", hashlib.sha256).hexdigest()
    r = visitor.raw("GET", "/_matrix/consent", query={"u": "agrees", "h": mac})
    assert r.status_code == 200 and "Terms 1.0." in r.text and f'value="{mac}"' in r.text
    r = visitor.raw("POST", "/_matrix/consent", data={"u": "agrees", "h": mac, "v": "1.0"})
    assert (r.status_code, r.text) == (200, "<p>Thanks.</p>")
    assert "Already agreed." in visitor.raw("GET", "/_matrix/consent", query={"u": "agrees", "h": mac}).text
    lobby, = made.get("/joined_rooms")["joined_rooms"]
    assert made.text(lobby, "now I may")
    assert made.create_room()


def test_nobody_agrees_for_somebody_else(visitor):
    mac = hmac.new(b"only the server knows", b"one", hashlib.sha256).hexdigest()
    assert refused(visitor.raw("POST", "/_matrix/consent", data={"u": "two", "h": mac, "v": "1.0"})) == (403, "M_UNKNOWN")
    assert refused(visitor.raw("POST", "/_matrix/consent", data={"u": "one", "h": mac, "v": "1.0"})) == (404, "M_NOT_FOUND")
    assert refused(visitor.raw("POST", "/_matrix/consent", data={"u": "one", "h": mac})) == (400, "M_MISSING_PARAM")


# A05
def test_no_table_has_a_secret_of_an_authentication(gate, visitor):
    body = {"username": "secretive", "password": "Unique-secret-77", "guest_access_token": None}
    session = visitor.raw("POST", "/register", body).json()["session"]
    stage(visitor, session, TERMS)
    rows = gate.sql("SELECT * FROM uia_session")
    assert session in rows and "Unique-secret-77" not in rows
    if not CLUSTER:
        assert "Unique-secret-77" not in gate.log()


def auth(user, password=PASSWORD, **more):
    return {"auth": {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password, **more}}


# A06
def test_a_session_is_of_one_user_device_method_and_path(server, alice, bob):
    other = Client(server.base).login(alice.user_id)
    path = f"/devices/{other.device_id}"
    session = refusal(alice.delete, path, {}).body["session"]
    uses = [
        (bob, "DELETE", path, bob),
        (other, "DELETE", path, alice),
        (alice, "DELETE", f"/devices/{alice.device_id}", alice),
        (alice, "POST", "/account/deactivate", alice),
        (alice, "POST", "/account/password", alice),
        (alice, "POST", "/delete_devices", alice),
    ]
    for who, method, where, whose in uses:
        body = {"devices": [other.device_id]} if where == "/delete_devices" else {}
        assert who.raw(method, where, {**body, **auth(whose.user_id, session=session)}).status_code == 403, where
    alice.delete(path, auth(alice.user_id, session=session))
    assert refused(alice.raw("DELETE", path, auth(alice.user_id, session=session))) == (400, "M_UNKNOWN")


def test_a_forgotten_password_needs_an_address_that_nobody_can_show(anyone):
    r = anyone.raw("POST", "/account/password", {"new_password": "another good one"})
    assert (r.status_code, r.json()["flows"]) == (401, [{"stages": ["m.login.email.identity"]}])
