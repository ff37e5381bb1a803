"""Hostile and broken requests: a clear error, a bounded cost, and the server goes on."""

import socket

import pytest

from mx import Client, quote

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "body, code",
    [
        (b"", "M_NOT_JSON"),
        (b"{", "M_NOT_JSON"),
        (b'{"a":1', "M_NOT_JSON"),
        (b'{"a":1}x', "M_NOT_JSON"),
        (b"{'a':1}", "M_NOT_JSON"),
        (b'{"a":\xff}', "M_NOT_JSON"),
        (b'{"a":"\xff\xfe"}', "M_NOT_JSON"),
        (b'{"a":NaN}', "M_NOT_JSON"),
        (b'{"a":01}', "M_NOT_JSON"),
        (b'{"a":"\x01"}', "M_NOT_JSON"),
        (b"[]", "M_BAD_JSON"),
        (b"null", "M_BAD_JSON"),
        (b'"text"', "M_BAD_JSON"),
        (b"\xef\xbb\xbf{}", "M_NOT_JSON"),
    ],
)
def test_bodies_that_are_no_json_object(alice, room, body, code):
    r = alice.raw("PUT", f"/rooms/{quote(room)}/send/m.x/bad-json", data=body, headers=JSON)
    assert (r.status_code, r.json()["errcode"]) == (400, code)


@pytest.mark.parametrize("body", [b'{"a":1,"a":2}', b'{"a":"\\ud800"}'])
def test_json_that_events_cannot_carry(alice, room, body):
    r = alice.raw("PUT", f"/rooms/{quote(room)}/send/m.x/bad-json", data=body, headers=JSON)
    assert r.status_code == 400 and r.json()["errcode"] in ("M_BAD_JSON", "M_NOT_JSON")


def test_nesting_is_bounded(alice, room):
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    r = alice.raw("PUT", f"/rooms/{quote(room)}/send/m.x/deep", data=deep, headers=JSON)
    assert r.status_code == 400 and r.json()["errcode"] in ("M_BAD_JSON", "M_NOT_JSON")


def test_a_body_past_the_limit_is_too_large(alice, room):
    r = alice.raw("PUT", f"/rooms/{quote(room)}/send/m.x/large", data=b'{"a":"' + b"x" * 3_000_000 + b'"}', headers=JSON)
    assert (r.status_code, r.json()["errcode"]) == (413, "M_TOO_LARGE")


@pytest.mark.parametrize("path", ["/rooms/%ZZ/state", "/rooms/%/state", "/rooms/%ff%fe/state", "/rooms/a%00b/state"])
def test_bad_percent_encoding_is_refused(server, alice, path):
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(f"GET /_matrix/client/v3{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token}\r\nConnection: close\r\n\r\n".encode())
        head = s.makefile("rb").readline()
    assert head.split()[1] in (b"400", b"404", b"403")


@pytest.mark.parametrize("limit", ["-1", "abc", "1e9", "99999999999999999999"])
def test_absurd_limits(alice, room, limit):
    r = alice.raw("GET", f"/rooms/{quote(room)}/messages", query={"dir": "b", "limit": limit})
    assert r.status_code == 400 and r.json()["errcode"] == "M_INVALID_PARAM"


def test_a_huge_limit_is_capped(alice, room):
    assert len(alice.messages(room, limit=10**9)["chunk"]) <= 1000


def raw_request(server, data):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
        s.sendall(data)
        answer = b""
        while True:
            try:
                more = s.recv(65536)
            except (ConnectionResetError, TimeoutError):
                break
            if not more:
                break
            answer += more
            if b"\r\n\r\n" in answer and b"Connection: close" not in data:
                break
        return answer


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"X-Folded: a\r\n b\r\nContent-Length: 2\r\n",
    ],
)
def test_ambiguous_framing_is_refused(server, head):
    answer = raw_request(server, b"POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head + b"\r\n{}")
    assert answer.split(b" ")[1] == b"400"


def test_a_flood_of_headers_does_not_hurt(server, anyone):
    raw_request(server, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(5000)) + b"\r\n")
    raw_request(server, b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 200000 + b"\r\n\r\n")
    assert anyone.get("/_matrix/client/versions")


def test_thousands_of_idle_connections_do_not_hurt(server, anyone):
    idle = []
    try:
        for _ in range(2000):
            idle.append(socket.create_connection(("127.0.0.1", server.port), timeout=10))
        assert anyone.get("/_matrix/client/versions")
    finally:
        for s in idle:
            s.close()


def test_browsers_may_ask(server):
    c = Client(server.base)
    r = c.raw("OPTIONS", "/login", headers={"Origin": "https://app.example.org", "Access-Control-Request-Method": "POST"})
    assert r.status_code in (200, 204)
    r = c.raw("GET", "/login", headers={"Origin": "https://app.example.org"})
    assert r.headers["Access-Control-Allow-Origin"] == "*"
    assert "Authorization" in r.headers["Access-Control-Allow-Headers"]


def test_head_is_get_without_a_body(server):
    r = Client(server.base).raw("HEAD", "/_matrix/client/versions")
    assert r.status_code == 200 and r.content == b""


def test_nothing_secret_is_in_the_log(server, alice, anyone, room):
    alice.text(room, "my-secret-content-123")
    anyone.raw("POST", "/login", {"type": "m.login.password", "user": alice.user_id, "password": "my-secret-password-123"})
    anyone.raw("GET", f"/account/whoami?access_token={alice.token}")
    log = server.log()
    for secret in ("my-secret-content-123", "my-secret-password-123", alice.token, "a good password 1"):
        assert secret not in log
