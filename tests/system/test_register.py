"""Registration: open, by shared secret, and what is refused."""

import hashlib
import hmac
import itertools
import secrets

import pytest

from mx import Client, refusal
from server import SECRET

_n = itertools.count(1)
_run = secrets.token_hex(3)


def fresh(stem="reg"):
    return f"{stem}{next(_n)}.{_run}"


def test_open_registration_asks_for_the_dummy_stage_first(anyone):
    r = anyone.raw("POST", "/register", {"username": fresh(), "password": "a good password 1"})
    assert r.status_code == 401
    body = r.json()
    assert {"stages": ["m.login.dummy"]} in body["flows"]
    assert body["session"] and "params" in body


def test_registering_logs_in(server):
    c = Client(server.base).register(fresh())
    who = c.get("/account/whoami")
    assert who == {"user_id": c.user_id, "device_id": c.device_id, "is_guest": False}
    assert c.user_id.endswith(":" + server.name)


def test_a_session_from_the_refusal_finishes_the_registration(anyone):
    name = fresh()
    session = anyone.raw("POST", "/register", {"username": name, "password": "a good password 1"}).json()["session"]
    done = anyone.post("/register", {"auth": {"type": "m.login.dummy", "session": session}})
    assert done["user_id"].startswith(f"@{name}:")


def test_inhibit_login_gives_neither_token_nor_device(anyone):
    body = {"username": fresh(), "password": "a good password 1", "auth": {"type": "m.login.dummy"}, "inhibit_login": True}
    answer = anyone.post("/register", body)
    assert "access_token" not in answer and "device_id" not in answer and answer["user_id"]


def test_a_given_device_and_its_name_are_kept(server):
    c = Client(server.base).register(fresh(), device_id="GHTYAJCE", initial_device_display_name="lounge")
    assert c.device_id == "GHTYAJCE"
    assert c.get("/devices/GHTYAJCE")["display_name"] == "lounge"


def test_without_a_name_one_is_made_up(anyone):
    answer = anyone.post("/register", {"password": "a good password 1", "auth": {"type": "m.login.dummy"}})
    assert answer["user_id"].startswith("@")


def test_upper_case_names_become_lower_case(anyone):
    name = fresh("Upper")
    answer = anyone.post("/register", {"username": name, "password": "a good password 1", "auth": {"type": "m.login.dummy"}})
    assert answer["user_id"].startswith(f"@{name.lower()}:")


@pytest.mark.parametrize("name", ["sp ace", "sla:sh", "qu?", "tick`", "ü", "at@x", "", "!", "%"])
def test_names_outside_the_grammar_are_refused(anyone, name):
    r = refusal(anyone.post, "/register", {"username": name, "password": "a good password 1", "auth": {"type": "m.login.dummy"}})
    assert (r.status, r.errcode) == (400, "M_INVALID_USERNAME")


@pytest.mark.parametrize("name", ["-", ".", "/", "_", "="])
def test_every_special_character_of_the_grammar_is_fine(anyone, name):
    name = f"chr{next(_n)}{name}{_run}"
    answer = anyone.post("/register", {"username": name, "password": "a good password 1", "auth": {"type": "m.login.dummy"}})
    assert answer["user_id"].startswith(f"@{name}:")


def test_a_taken_name_is_refused_and_said_unavailable(server, anyone):
    name = fresh()
    assert anyone.get("/register/available", {"username": name}) == {"available": True}
    Client(server.base).register(name)
    r = refusal(anyone.post, "/register", {"username": name, "password": "a good password 1", "auth": {"type": "m.login.dummy"}})
    assert (r.status, r.errcode) == (400, "M_USER_IN_USE")
    r = refusal(anyone.get, "/register/available", {"username": name})
    assert (r.status, r.errcode) == (400, "M_USER_IN_USE")


def test_a_password_that_is_no_string_is_refused(anyone):
    r = refusal(anyone.post, "/register", {"username": fresh(), "password": 17, "auth": {"type": "m.login.dummy"}})
    assert r.status == 400


def test_shared_secret_registration_makes_an_admin(server):
    c = Client(server.base).register_with_secret(SECRET, fresh(), admin=True)
    assert c.get("/account/whoami")["user_id"] == c.user_id


# N02
def test_shared_secret_registration_refuses_a_wrong_mac_and_a_used_nonce(server, anyone):
    path = "/_synapse/admin/v1/register"
    nonce = anyone.get(path)["nonce"]
    name = fresh()
    words = "\0".join([nonce, name, "pw pw pw pw", "notadmin"])
    body = {"nonce": nonce, "username": name, "password": "pw pw pw pw", "admin": False}
    wrong = refusal(anyone.post, path, {**body, "mac": "00" * 20})
    assert wrong.status == 403
    nonce2 = anyone.get(path)["nonce"]
    words2 = words.replace(nonce, nonce2)
    mac2 = hmac.new(SECRET.encode(), words2.encode(), hashlib.sha1).hexdigest()
    anyone.post(path, {**body, "nonce": nonce2, "mac": mac2})
    again = refusal(anyone.post, path, {**body, "nonce": nonce2, "mac": mac2})
    assert again.status == 400


def test_a_registration_token_that_nobody_made_is_not_valid(anyone):
    path = "/_matrix/client/v1/register/m.login.registration_token/validity"
    assert anyone.get(path, {"token": "no.such-token"}) == {"valid": False}
    assert anyone.get(path, {"token": "no token has blanks"}) == {"valid": False}
    r = refusal(anyone.get, path)
    assert (r.status, r.errcode) == (400, "M_MISSING_PARAM")
