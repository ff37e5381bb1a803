"""Refresh tokens, login tokens, OpenID tokens; third-party ids; who may come in at all."""

import concurrent.futures
import hashlib

import pytest

from mx import Client
from server import Server

PASSWORD = "a good password 1"
TOKEN = "/_matrix/client/v1/login/get_token"


@pytest.fixture(scope="module")
def house():
    s = Server(
        name="house",
        config={
            "allow_guest_access": True,
            "refreshable_access_token_lifetime": "10m",
            "refresh_token_lifetime": "24h",
            "session_lifetime": "30d",
            "nonrefreshable_access_token_lifetime": "1d",
            "login_via_existing_session": {"enabled": True, "require_ui_auth": True, "token_timeout": "2m"},
            "password_config": {"policy": {"enabled": True, "minimum_length": 10, "require_digit": True}},
        },
    )
    s.start()
    yield s
    s.close()


@pytest.fixture
def member(house, request):
    return Client(house.base).register(f"m{abs(hash(request.node.name)) % 10**9}x")


def refused(r):
    return r.status_code, r.json()["errcode"]


def password(user, **more):
    return {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": PASSWORD, **more}


def login(client, user, **more):
    return client.post("/login", password(user, **more), token=False)


def refresh(client, token):
    return client.raw("POST", "/refresh", {"refresh_token": token}, token=False)


def whoami(client, token):
    return client.raw("GET", "/account/whoami", headers={"Authorization": f"Bearer {token}"}, token=False)


def sha(token):
    return hashlib.sha256(token.encode()).hexdigest()


def test_a_refresh_token_is_given_to_who_asks(house, member):
    plain = login(member, member.user_id)
    assert "refresh_token" not in plain and 80_000_000 < plain["expires_in_ms"] <= 86_400_000
    pair = login(member, member.user_id, refresh_token=True)
    assert pair["refresh_token"].startswith("syr_") and 500_000 < pair["expires_in_ms"] <= 600_000
    made = member.post("/register", {"username": "refresher", "password": PASSWORD, "refresh_token": True, "auth": {"type": "m.login.dummy"}}, token=False)
    assert made["refresh_token"].startswith("syr_") and made["expires_in_ms"] <= 600_000
    for path, body in (("/login", password(member.user_id)), ("/register", {"username": "x", "password": PASSWORD})):
        assert refused(member.raw("POST", path, {**body, "refresh_token": "yes"}, token=False)) == (400, "M_UNKNOWN")


def test_a_refresh_token_is_good_until_what_it_gave_is_used(member):
    first = login(member, member.user_id, refresh_token=True)
    second = refresh(member, first["refresh_token"]).json()
    third = refresh(member, first["refresh_token"]).json()  # the answer was lost on its way, say
    assert refused(whoami(member, second["access_token"])) == (401, "M_UNKNOWN_TOKEN")
    assert refused(refresh(member, second["refresh_token"])) == (401, "M_UNKNOWN_TOKEN")
    assert whoami(member, third["access_token"]).json()["device_id"] == first["device_id"]
    assert refused(refresh(member, first["refresh_token"])) == (403, "M_FORBIDDEN")
    assert whoami(member, first["access_token"]).status_code == 200  # lives on until its time is over
    fourth = refresh(member, third["refresh_token"]).json()
    assert refused(whoami(member, first["access_token"])) == (401, "M_UNKNOWN_TOKEN")
    assert refresh(member, fourth["refresh_token"]).status_code == 200
    assert refused(refresh(member, third["refresh_token"])) == (401, "M_UNKNOWN_TOKEN")  # only the last two are kept


def test_what_is_no_refresh_token_is_refused(member):
    assert refused(refresh(member, "syr_abc_def_ghi")) == (401, "M_UNKNOWN_TOKEN")
    assert refused(refresh(member, member.token)) == (401, "M_UNKNOWN_TOKEN")
    assert refused(refresh(member, None)) == (400, "M_INVALID_PARAM")
    assert refused(member.raw("POST", "/refresh", {}, token=False)) == (400, "M_MISSING_PARAM")
    assert refused(member.raw("POST", "/tokenrefresh", {}, token=False)) == (403, "M_FORBIDDEN")


def test_an_expired_token_asks_for_a_refresh_and_an_expired_refresh_token_ends_it(house, member):
    pair = login(member, member.user_id, refresh_token=True)
    house.sql(f"UPDATE access_token SET expires_ts = 1 WHERE token_sha256 = '\\x{sha(pair['access_token'])}'")
    r = whoami(member, pair["access_token"])
    assert refused(r) == (401, "M_UNKNOWN_TOKEN") and r.json()["soft_logout"] is True
    pair = refresh(member, pair["refresh_token"]).json()
    assert whoami(member, pair["access_token"]).status_code == 200
    for column in ("expires_ts", "session_expires_ts"):
        pair = login(member, member.user_id, refresh_token=True)
        house.sql(f"UPDATE refresh_token SET {column} = 1 WHERE token_sha256 = '\\x{sha(pair['refresh_token'])}'")
        assert refused(refresh(member, pair["refresh_token"])) == (403, "M_FORBIDDEN")


# A12
def test_refreshing_many_at_once_leaves_one_pair_that_works(house, member):
    first = login(member, member.user_id, refresh_token=True)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        pairs = [r.json() for r in pool.map(lambda _: refresh(Client(house.base), first["refresh_token"]), range(8))]
    works = [p for p in pairs if whoami(member, p["access_token"]).status_code == 200]
    assert len(works) == 1
    assert refresh(member, works[0]["refresh_token"]).status_code == 200


# A13
def test_the_end_of_a_session_is_the_end_of_its_refresh_token(house, member):
    auth = {"auth": password(member.user_id)}
    ends = [
        lambda t, d: member.raw("POST", "/logout", headers={"Authorization": f"Bearer {t}"}, token=False),
        lambda t, d: member.raw("DELETE", f"/devices/{d}", auth),
        lambda t, d: login(member, member.user_id, device_id=d),
        lambda t, d: member.raw("POST", "/account/password", {"new_password": PASSWORD, **auth}),
    ]
    for end in ends:
        pair = login(member, member.user_id, refresh_token=True)
        end(pair["access_token"], pair["device_id"])
        assert refused(whoami(member, pair["access_token"])) == (401, "M_UNKNOWN_TOKEN")
        assert refused(refresh(member, pair["refresh_token"])) == (401, "M_UNKNOWN_TOKEN")
    assert house.sql(f"SELECT count(*) FROM refresh_token r JOIN user_id USING (user_nid) WHERE mxid = '{member.user_id}'") == "0"


# A16
def test_tokens_are_stored_as_hashes_and_never_logged(house, member):
    pair = login(member, member.user_id, refresh_token=True)
    member.raw("GET", "/account/whoami", query={"access_token": pair["access_token"]}, token=False)
    member.raw("GET", "/sync", query={"access_token": "syt_unknown_token_of_nobody"}, token=False)
    pair2 = refresh(member, pair["refresh_token"]).json()
    openid = member.post(f"/user/{member.user_id}/openid/request_token")["access_token"]
    given = member.call("POST", TOKEN, {"auth": password(member.user_id)})["login_token"]
    member.raw("GET", "/_matrix/federation/v1/openid/userinfo", query={"access_token": openid}, token=False)
    secrets = [pair["access_token"], pair["refresh_token"], pair2["access_token"], pair2["refresh_token"], openid, given, PASSWORD, "syt_unknown_token"]
    tables = "".join(house.sql(f"SELECT * FROM {t}") for t in ("access_token", "refresh_token", "short_token", "uia_session"))
    log = house.log()
    assert "whoami" in log
    for secret in secrets:
        assert secret not in tables and secret not in log


def test_a_login_token_lets_one_device_in(house, member):
    assert {"type": "m.login.token", "get_login_token": True} in member.get("/login")["flows"]
    assert member.get("/capabilities")["capabilities"]["m.get_login_token"] == {"enabled": True}
    r = member.raw("POST", TOKEN, {})
    assert r.status_code == 401 and r.json()["flows"] == [{"stages": ["m.login.password"]}]
    given = member.call("POST", TOKEN, {"auth": password(member.user_id, session=r.json()["session"])})
    assert given["expires_in_ms"] == 120_000 and given["expires_in"] == 120
    body = {"type": "m.login.token", "token": given["login_token"]}
    answer = member.post("/login", body, token=False)
    assert answer["user_id"] == member.user_id and answer["device_id"] != member.device_id
    assert refused(member.raw("POST", "/login", body, token=False)) == (403, "M_FORBIDDEN")
    assert refused(member.raw("POST", "/login", {"type": "m.login.token"}, token=False)) == (400, "M_UNKNOWN")
    guest = Client(house.base)
    guest._take(guest.post("/register?kind=guest", {}, token=False))
    assert refused(guest.raw("POST", TOKEN, {})) == (403, "M_GUEST_ACCESS_FORBIDDEN")


def test_login_tokens_are_not_there_unless_configured(alice):
    assert refused(alice.raw("POST", TOKEN, {})) == (404, "M_UNRECOGNIZED")
    assert alice.get("/login")["flows"] == [{"type": "m.login.password"}]


def state(house, user, **flags):
    """Sets what an administrator would; the sessions of the user are not used in between."""
    sets = ", ".join(f"{k} = {v}" for k, v in flags.items())
    house.sql(f"UPDATE account SET {sets} WHERE user_nid = (SELECT user_nid FROM user_id WHERE mxid = '{user}')")


# A03
def test_no_way_of_logging_in_is_open_to_who_may_not(house, request):
    for i, (flags, answer) in enumerate(((8, (401, "M_USER_LOCKED")), (4, (403, "M_USER_DEACTIVATED")))):
        name = f"shut{i}"
        session = Client(house.base).raw("POST", "/register", {"username": name, "password": PASSWORD}).json()["session"]
        c = Client(house.base)
        made = c.post("/register", {"auth": {"type": "m.login.dummy", "session": session}, "refresh_token": True})
        user, c.token = made["user_id"], made["access_token"]
        given = c.call("POST", TOKEN, {"auth": password(user)})["login_token"]
        c.token = None
        state(house, user, flags=flags)
        assert refused(c.raw("POST", "/login", password(user))) == answer
        assert refused(c.raw("POST", "/login", {"type": "m.login.token", "token": given})) == answer
        again = c.raw("POST", "/register", {"auth": {"type": "m.login.dummy", "session": session}})
        assert refused(again) == answer, again.text
        assert refused(refresh(c, made["refresh_token"])) in (answer, (401, "M_UNKNOWN_TOKEN"))


# A04
def test_an_account_without_a_password_has_none(house, member):
    state(house, member.user_id, password_hash="NULL")
    for guess in ("", "*", "\0", "NULL", PASSWORD):
        assert member.raw("POST", "/login", {**password(member.user_id), "password": guess}, token=False).status_code == 403
    r = member.raw("POST", "/account/deactivate", {})
    assert (r.status_code, r.json()["flows"]) == (401, [])


# N11
def test_an_openid_token_says_who_holds_it(house, member):
    token = member.post(f"/user/{member.user_id}/openid/request_token")
    assert (token["token_type"], token["matrix_server_name"], token["expires_in"]) == ("Bearer", "house", 3600)
    ask = "/_matrix/federation/v1/openid/userinfo"
    assert member.get(ask, {"access_token": token["access_token"]}, token=False) == {"sub": member.user_id}
    assert refused(member.raw("GET", ask, query={"access_token": "x"}, token=False)) == (401, "M_UNKNOWN_TOKEN")
    assert refused(member.raw("GET", ask, token=False)) == (401, "M_MISSING_TOKEN")
    assert refused(member.raw("POST", "/user/@other:house/openid/request_token", {})) == (403, "M_FORBIDDEN")
    assert refused(whoami(member, token["access_token"])) == (401, "M_UNKNOWN_TOKEN")


def test_the_password_policy_is_said(house, alice):
    assert Client(house.base).get("/password_policy") == {"m.minimum_length": 10, "m.require_digit": True}
    assert alice.get("/password_policy", token=False) == {}


def test_third_party_ids_are_listed_log_in_and_can_be_removed(house, member):
    for medium, address in (("email", "some.one@example.org"), ("msisdn", "447470274584")):
        house.sql(f"INSERT INTO threepid SELECT '{medium}', '{address}', user_nid, 5, 6 FROM user_id WHERE mxid = '{member.user_id}'")
    listed = [{"medium": "email", "address": "some.one@example.org", "validated_at": 5, "added_at": 6},
              {"medium": "msisdn", "address": "447470274584", "validated_at": 5, "added_at": 6}]
    assert member.get("/account/3pid")["threepids"] == listed
    ways = [
        {"identifier": {"type": "m.id.thirdparty", "medium": "email", "address": " Some.One@EXAMPLE.org"}},
        {"medium": "email", "address": "some.one@example.org"},
        {"identifier": {"type": "m.id.phone", "country": "GB", "phone": "+44 7470 274584"}},
        {"identifier": {"type": "m.id.thirdparty", "medium": "msisdn", "address": "447470274584"}},
    ]
    for who in ways:
        body = {"type": "m.login.password", "password": PASSWORD, **who}
        assert member.post("/login", body, token=False)["user_id"] == member.user_id
        assert refused(member.raw("POST", "/login", {**body, "password": "no"}, token=False)) == (403, "M_FORBIDDEN")
    member.post("/account/3pid/delete", {"medium": "email", "address": "SOME.one@example.org"})
    assert member.post("/account/3pid/delete", {"medium": "email", "address": "a@b"}) == {"id_server_unbind_result": "no-support"}
    assert member.get("/account/3pid")["threepids"] == listed[1:]
    assert refused(member.raw("POST", "/login", {"type": "m.login.password", "password": PASSWORD, **ways[0]}, token=False)) == (403, "M_FORBIDDEN")


def test_without_mail_what_needs_it_says_so(member):
    calls = {
        "/register/email/requestToken": "M_UNKNOWN",
        "/register/msisdn/requestToken": "M_UNKNOWN",
        "/account/password/email/requestToken": "M_UNKNOWN",
        "/account/3pid/email/requestToken": "M_THREEPID_MEDIUM_NOT_SUPPORTED",
        "/account/3pid/msisdn/requestToken": "M_THREEPID_MEDIUM_NOT_SUPPORTED",
    }
    for path, code in calls.items():
        assert refused(member.raw("POST", path, {"client_secret": "x", "email": "a@b.c", "send_attempt": 1})) == (400, code)
    r = member.raw("POST", "/account/3pid/add", {"client_secret": "x", "sid": "1"})
    assert r.status_code == 401 and "session" in r.json()
    body = {"client_secret": "x", "sid": "1", "auth": password(member.user_id)}
    assert refused(member.raw("POST", "/account/3pid/add", body)) == (400, "M_THREEPID_AUTH_FAILED")
    assert refused(member.raw("POST", "/account/3pid/add", {**body, "client_secret": "x" * 256})) == (400, "M_BAD_JSON")
    assert refused(member.raw("POST", "/account/3pid", {"three_pid_creds": {"client_secret": "x", "sid": "1"}})) == (400, "M_THREEPID_AUTH_FAILED")
