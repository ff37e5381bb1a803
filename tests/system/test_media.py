"""Uploads and downloads of local media."""

import email.message
import hashlib
import os
import pathlib
import re
import secrets
import socket
import subprocess
import threading
import time

import pytest
import requests

from mx import Client, Refused, quote
from server import OneProcess, Server, wait_for

MIB = 1 << 20
UPLOAD = "/_matrix/media/v3/upload"
SAFE_HEADERS = {
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Access-Control-Allow-Origin": "*",
}


def upload(client, data, type="application/octet-stream", name=None, path=UPLOAD, method="POST"):
    query = {"filename": name} if name is not None else None
    return client.raw(method, path, query=query, headers={"Content-Type": type}, data=data)


def put(client, data=b"some bytes", type="application/octet-stream", name=None):
    """The media id."""
    r = upload(client, data, type, name)
    assert r.status_code == 200, r.text
    m = re.fullmatch(r"mxc://([^/]+)/([A-Za-z]{24})", r.json()["content_uri"])
    assert m and list(r.json()) == ["content_uri"]
    return m.group(2)


def download(client, id, name=None, server="test", prefix="/_matrix/client/v1/media", method="GET", token=True, **headers):
    path = f"{prefix}/download/{server}/{id}" + (f"/{quote(name)}" if name is not None else "")
    return client.raw(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()}, token=token)


def disposition(r):
    m = email.message.Message()
    m["Content-Disposition"] = r.headers["Content-Disposition"]
    name = m.get_filename()
    return m.get_content_disposition(), name


def refusal(r):
    return r.status_code, r.json()["errcode"]


def files(server, below="local_content"):
    base = pathlib.Path(server.dir) / "media_store"
    return sorted(str(p.relative_to(base)) for p in (base / below).rglob("*") if p.is_file())


def peak(server):
    with open(f"/proc/{server.pid_of('media')}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) * 1024


@pytest.fixture(scope="module")
def big():
    """A server that takes large files, alone in its memory."""
    s = Server(config={"max_upload_size": "200M"}).start()
    yield s
    s.close()


# ── up and down ──


@pytest.mark.parametrize("size", [0, 1, 1000, 65_536, 65_537, 1_000_000])
def test_what_was_uploaded_comes_back(alice, bob, size):
    data = os.urandom(size)
    id = put(alice, data, "image/x-something")
    r = download(bob, id)
    assert r.status_code == 200
    assert r.content == data
    assert r.headers["Content-Type"] == "image/x-something"
    assert r.headers["Content-Length"] == str(size)


@pytest.mark.parametrize("version", ["r0", "v1", "v3"])
def test_all_versions_of_the_upload_path_work(alice, version):
    r = upload(alice, b"x", path=f"/_matrix/media/{version}/upload")
    assert r.status_code == 200
    assert download(alice, r.json()["content_uri"].rsplit("/", 1)[1]).content == b"x"


def test_files_lie_where_synapse_puts_them(server, alice):
    id = put(alice, b"here I am")
    path = pathlib.Path(server.dir) / "media_store" / "local_content" / id[:2] / id[2:4] / id[4:]
    assert path.read_bytes() == b"here I am"
    assert not [f for f in files(server, ".") if not f.startswith(("local_content/", "local_thumbnails/"))]


def test_uploads_need_a_token(anyone, new_user):
    assert refusal(upload(anyone, b"x")) == (401, "M_MISSING_TOKEN")
    anyone.token = "nonsense"
    assert refusal(upload(anyone, b"x" * 200_000)) == (401, "M_UNKNOWN_TOKEN")


def test_the_limit_is_told_and_kept(alice, anyone, server):
    for path in ("/_matrix/client/v1/media/config", "/_matrix/media/v3/config", "/_matrix/media/r0/config", "/_matrix/media/v1/config"):
        assert alice.get(path) == {"m.upload.size": 50 * MIB}
        with pytest.raises(Refused) as e:
            anyone.get(path)
        assert (e.value.status, e.value.errcode) == (401, "M_MISSING_TOKEN")
    assert refusal(upload(alice, b"x" * (50 * MIB + 1))) == (413, "M_TOO_LARGE")
    assert upload(alice, b"x" * (50 * MIB)).status_code == 200


def test_too_large_an_upload_is_refused_before_it_is_sent(alice, server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
        s.sendall(
            f"POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.token}\r\nContent-Length: {51 * MIB}\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        assert s.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_an_upload_without_a_length_is_refused(alice, server):
    def pieces():
        yield b"some"
        yield b"thing"

    r = requests.post(server.base + UPLOAD, data=pieces(), headers={"Authorization": f"Bearer {alice.token}"})
    assert r.status_code == 400
    assert r.json() == {"errcode": "M_UNKNOWN", "error": "Request must specify a Content-Length"}


def test_unknown_media_is_404(alice, server):
    for id in ("doesnotexist", "A" * 24, "x", "AA%2FBB", "..%2F..%2F..%2Fetc%2Fpasswd", "%2e%2e", "AAAA..%2F..%2F..", "a" * 300):
        assert refusal(download(alice, id)) == (404, "M_NOT_FOUND")
    assert refusal(download(alice, put(alice), server="elsewhere.example")) == (404, "M_NOT_FOUND")
    assert refusal(download(alice, put(alice), server="a%2F..%2Fb")) == (400, "M_INVALID_PARAM")


def test_no_path_of_a_request_reaches_the_file_system(server, alice):
    """200 ways out of the store; all that is opened is below it."""
    secret = pathlib.Path(server.dir) / "media_store" / "secret"
    secret.write_text("secret")
    put(alice)
    tried = 0
    for up in ("../", "..%2F", "%2e%2e/", "%2e%2e%2f", "..%5C", "....//", "%252e%252e%252f", "..;/", "/", "%00/"):
        for depth in range(1, 5):
            for tail in ("secret", "homeserver.yaml", "local_content/../secret", "etc/passwd", "local_content"):
                for path in (f"/_matrix/client/v1/media/download/test/{up * depth}{tail}",):
                    s = requests.Request("GET", server.base, headers={"Authorization": f"Bearer {alice.token}"}).prepare()
                    s.url = server.base + path  # as it is
                    r = requests.Session().send(s)
                    tried += 1
                    assert r.status_code in (400, 404, 405), path
                    assert b"secret" not in r.content.replace(path.encode(), b"")
    assert tried == 200
    secret.unlink()


# ── headers ──


def test_every_download_has_the_headers_that_keep_it_harmless(alice):
    r = download(alice, put(alice, b"<script>", "text/html"))
    for k, v in SAFE_HEADERS.items():
        assert r.headers[k] == v
    csp = r.headers["Content-Security-Policy"]
    assert csp.startswith("sandbox;") and "default-src 'none'" in csp and "script-src 'none'" in csp
    assert r.headers["Cache-Control"] == "public,max-age=86400,s-maxage=0,proxy-revalidate"
    assert r.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert disposition(r)[0] == "attachment"


INLINE = """text/css text/plain text/csv application/json application/ld+json image/jpeg image/gif image/png image/apng image/webp image/avif
video/mp4 video/webm video/ogg video/quicktime audio/mp4 audio/webm audio/aac audio/mpeg audio/ogg audio/wave audio/wav audio/x-wav
audio/x-pn-wav audio/flac audio/x-flac""".split()
ATTACHED = """text/html image/svg+xml application/pdf application/xhtml+xml text/xml application/xml application/javascript text/javascript
application/octet-stream application/x-shockwave-flash image/svg text/calendar message/rfc822 multipart/mixed nonsense""".split()


@pytest.mark.parametrize("type", INLINE)
def test_what_is_safe_is_shown_in_place(alice, type):
    assert disposition(download(alice, put(alice, b"x", type)))[0] == "inline"
    assert disposition(download(alice, put(alice, b"x", type + "; charset=x")))[0] == "inline"
    assert disposition(download(alice, put(alice, b"x", type.upper())))[0] == "inline"


@pytest.mark.parametrize("type", ATTACHED)
def test_what_may_carry_a_script_is_not(alice, type):
    assert disposition(download(alice, put(alice, b"x", type)))[0] == "attachment"
    assert disposition(download(alice, put(alice, b"x", type + ";image/png")))[0] == "attachment"


@pytest.mark.parametrize(
    "name, header",
    [
        ("plain.txt", "filename=plain.txt"),
        ("with blank.txt", "filename*=utf-8''with%20blank.txt"),
        ("a;b.txt", "filename*=utf-8''a%3Bb.txt"),
        ("\u00e4\U0001f414.txt", "filename*=utf-8''%C3%A4%F0%9F%90%94.txt"),
        ('quo"te.txt', "filename*=utf-8''quo%22te.txt"),
        ("a/b\\c", "filename=a_b_c"),
        ("cr\r\nSet-Cookie: x", "filename*=utf-8''crSet-Cookie%3A%20x"),
        ("exe\u202etxt.gpj", "filename=exetxt.gpj"),
        ("\u200b", None),
        ("..", None),
        ("x" * 300, "filename=" + "x" * 255),
    ],
)
def test_file_names(alice, name, header):
    want = "attachment" + ("; " + header if header else "")
    assert download(alice, put(alice, name=name)).headers["Content-Disposition"] == want


def test_a_name_in_the_path_takes_the_place_of_the_uploaded_one(alice):
    id = put(alice, name="uploaded.txt")
    assert disposition(download(alice, id)) == ("attachment", "uploaded.txt")
    assert disposition(download(alice, id, "asked for.txt")) == ("attachment", "asked for.txt")
    assert disposition(download(alice, id, "\u00e4")) == ("attachment", "\u00e4")


def test_without_a_name_there_is_none(alice):
    assert download(alice, put(alice)).headers["Content-Disposition"] == "attachment"
    assert download(alice, put(alice, name="")).headers["Content-Disposition"] == "attachment"


def test_bad_content_types_are_refused(alice):
    assert refusal(upload(alice, b"x", "text/plain; x=\u00e4".encode())) == (400, "M_INVALID_PARAM")
    assert refusal(upload(alice, b"x", "x" * 300)) == (400, "M_INVALID_PARAM")


def test_what_the_client_has_is_not_sent_again(alice, server):
    id = put(alice, b"cached")
    etag = download(alice, id).headers["ETag"]
    assert etag == "1"
    for sent in (etag, f'"{etag}"', f'W/"{etag}"', f'"x", "{etag}"', "*"):
        r = download(alice, id, If_None_Match=sent)
        assert (r.status_code, r.content) == (304, b"")
        assert r.headers["ETag"] == etag
    assert download(alice, id, If_None_Match='"2"').content == b"cached"
    alice.token, token = "nonsense", alice.token
    assert download(alice, id, If_None_Match=etag).status_code == 401
    alice.token = token


def test_head(alice):
    id = put(alice, b"0123456789", "image/png", "x.png")
    r = download(alice, id, method="HEAD")
    assert (r.status_code, r.content, r.headers["Content-Length"]) == (200, b"", "10")
    assert r.headers["Content-Disposition"] == "inline; filename=x.png"
    assert download(alice, "A" * 24, method="HEAD").status_code == 404


@pytest.mark.parametrize(
    "range, status, content",
    [
        ("bytes=0-", 206, b"0123456789"),
        ("bytes=0-0", 206, b"0"),
        ("bytes=3-5", 206, b"345"),
        ("bytes=3-500", 206, b"3456789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=-300", 206, b"0123456789"),
        ("bytes=9-", 206, b"9"),
        ("bytes=10-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=99999999999999999999-", 200, b"0123456789"),
        ("bytes=0-1,3-4", 200, b"0123456789"),
        ("bytes=5-3", 200, b"0123456789"),
        ("chapters=1-2", 200, b"0123456789"),
        ("bytes=a-b", 200, b"0123456789"),
    ],
)
def test_ranges(alice, range, status, content):
    id = put(alice, b"0123456789", "video/mp4")
    r = download(alice, id, Range=range)
    assert r.status_code == status
    if status == 416:
        assert r.headers["Content-Range"] == "bytes */10"
        return
    assert r.content == content
    assert r.headers["Accept-Ranges"] == "bytes"
    if status == 206:
        at = b"0123456789".index(content)
        assert r.headers["Content-Range"] == f"bytes {at}-{at + len(content) - 1}/10"
    assert download(alice, id, Range=range, If_Range='"other"').content == b"0123456789"


# ── with and without a token ──


def test_new_media_are_not_for_those_without_a_token(alice, anyone):
    id = put(alice)
    for version in ("r0", "v1", "v3"):
        assert refusal(download(anyone, id, prefix=f"/_matrix/media/{version}")) == (404, "M_NOT_FOUND")
        assert refusal(download(anyone, id, "name", prefix=f"/_matrix/media/{version}")) == (404, "M_NOT_FOUND")
    assert refusal(download(anyone, id)) == (401, "M_MISSING_TOKEN")


def test_older_media_are():
    s = Server(config={"enable_authenticated_media": False}).start()
    try:
        alice = Client(s.base).register("alice")
        id = put(alice, b"old", "text/plain", "old.txt")
        assert download(alice, id, prefix="/_matrix/media/v3", token=False).content == b"old"
        s.stop()
        s.config["enable_authenticated_media"] = True
        s.start()
        r = download(alice, id, prefix="/_matrix/media/v3", token=False)
        assert r.content == b"old"
        for k, v in SAFE_HEADERS.items():
            assert r.headers[k] == v
        assert download(alice, id, "x.txt", prefix="/_matrix/media/r0", token=False).headers["Content-Disposition"] == "inline; filename=x.txt"
        assert download(alice, id).content == b"old"
        assert refusal(download(alice, put(alice), prefix="/_matrix/media/v3", token=False)) == (404, "M_NOT_FOUND")
    finally:
        s.close()


def test_without_the_media_repository_nothing_of_it_is_there():
    s = OneProcess(config={"enable_media_repo": False}).start()
    try:
        alice = Client(s.base).register("alice")
        assert refusal(upload(alice, b"x")) == (404, "M_UNRECOGNIZED")
    finally:
        s.close()


def test_unknown_media_paths_are_unrecognized(alice):
    for method, path, status in (
        ("GET", "/_matrix/media/v3/unknown", 404),
        ("POST", "/_matrix/media/v3/config", 405),
        ("PATCH", UPLOAD, 405),
        ("PUT", UPLOAD, 405),
    ):
        r = alice.raw(method, path)
        assert refusal(r) == (status, "M_UNRECOGNIZED")


# ── quarantine ──


def test_quarantined_media_are_served_on_no_path():
    s = OneProcess(config={"enable_authenticated_media": False, "dynamic_thumbnails": True}).start()
    try:
        alice = Client(s.base).register("alice")
        admin = Client(s.base).register_with_secret("system-tests-secret", "admin", admin=True)
        data = (pathlib.Path(__file__).parent / "images" / "moving.gif").read_bytes()
        id = put(alice, data, "image/gif")
        paths = [f"{prefix}/{what}" for prefix in ("/_matrix/client/v1/media", "/_matrix/media/v3", "/_matrix/media/r0", "/_matrix/media/v1")
                 for what in (f"download/test/{id}", f"download/test/{id}/x.gif", f"thumbnail/test/{id}?width=32&height=32",
                              f"thumbnail/test/{id}?width=32&height=32&method=crop&animated=true")]
        for path in paths:
            assert alice.raw("GET", path).status_code == 200, path
        s.sql(f"UPDATE media SET quarantined_by = 1 WHERE media_id = '{id}'")
        for path in paths:
            assert refusal(alice.raw("GET", path)) == (404, "M_NOT_FOUND"), path
            assert alice.raw("HEAD", path).status_code == 404
            assert alice.raw("GET", path, headers={"If-None-Match": "1"}).status_code == 404
            assert alice.raw("GET", path, headers={"Range": "bytes=0-1"}).status_code == 404
        query = {"admin_unsafely_bypass_quarantine": "true"}
        path = f"/_matrix/client/v1/media/download/test/{id}"
        assert alice.raw("GET", path, query=query).status_code == 400
        assert admin.raw("GET", path).status_code == 404
        assert admin.raw("GET", path, query=query).content == data
        again = put(alice, data, "image/gif")  # the same bytes under another id
        assert refusal(download(alice, again)) == (404, "M_NOT_FOUND")
        assert download(alice, put(alice, data + b"x")).status_code == 200
    finally:
        s.close()


def test_when_media_was_read_is_noted():
    s = OneProcess().start()
    try:
        alice = Client(s.base).register("alice")
        id, other = put(alice), put(alice)
        download(alice, id)
        s.stop()  # what has gathered is written then, and once a minute
        s.start()
        assert s.sql(f"SELECT count(*) FROM media WHERE media_id = '{id}' AND access_ts > created_ts - 1000") == "1"
        assert s.sql(f"SELECT count(*) FROM media WHERE media_id = '{other}' AND access_ts IS NULL") == "1"
    finally:
        s.close()


# ── ids first, content later ──


def create(client):
    answer = client.post("/_matrix/media/v1/create")
    assert set(answer) == {"content_uri", "unused_expires_at"}
    return answer["content_uri"].rsplit("/", 1)[1], answer["unused_expires_at"]


def fill(client, id, data=b"later", server="test"):
    return upload(client, data, "text/plain", path=f"{UPLOAD}/{server}/{id}", method="PUT")


def test_content_may_come_after_the_id(alice, bob):
    id, expires = create(alice)
    assert abs(expires / 1000 - time.time() - 24 * 3600) < 60
    r = bob.raw("GET", f"/_matrix/client/v1/media/download/test/{id}", query={"timeout_ms": 0})
    assert refusal(r) == (504, "M_NOT_YET_UPLOADED")
    r = bob.raw("GET", f"/_matrix/media/v3/download/test/{id}", query={"timeout_ms": 0})  # the old way, without a token
    assert refusal(r) == (504, "M_NOT_YET_UPLOADED")
    assert refusal(fill(bob, id)) == (403, "M_FORBIDDEN")
    assert refusal(fill(alice, "A" * 24)) == (404, "M_NOT_FOUND")
    assert refusal(fill(alice, id, server="elsewhere")) == (404, "M_NOT_FOUND")
    r = fill(alice, id)
    assert (r.status_code, r.json()) == (200, {})
    assert download(bob, id).content == b"later"
    assert refusal(fill(alice, id, b"other")) == (409, "M_CANNOT_OVERWRITE_MEDIA")
    assert refusal(fill(alice, put(alice), b"other")) == (409, "M_CANNOT_OVERWRITE_MEDIA")
    assert download(bob, id).content == b"later"


def test_a_download_waits_for_the_content(alice, bob):
    id, _ = create(alice)
    got = []
    waiting = threading.Thread(target=lambda: got.append(download(bob, id)))
    waiting.start()
    began = time.monotonic()
    assert refusal(bob.raw("GET", f"/_matrix/client/v1/media/download/test/{id}", query={"timeout_ms": 600})) == (504, "M_NOT_YET_UPLOADED")
    assert 0.5 < time.monotonic() - began < 15
    assert fill(alice, id, b"x" * 100_000).status_code == 200
    waiting.join(10)
    assert got[0].content == b"x" * 100_000


def test_of_two_uploads_to_one_id_one_is_refused(alice, server):
    for _ in range(5):
        id, _ = create(alice)
        contents = [secrets.token_bytes(200_000) for _ in range(4)]
        answers = {}

        def go(c):
            answers[c] = upload(Client(server.base, alice.token), c, path=f"{UPLOAD}/test/{id}", method="PUT")

        threads = [threading.Thread(target=go, args=(c,)) for c in contents]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        won = [c for c, r in answers.items() if r.status_code == 200]
        assert len(won) == 1
        assert all(refusal(r) == (409, "M_CANNOT_OVERWRITE_MEDIA") for c, r in answers.items() if c != won[0])
        assert download(alice, id).content == won[0]


def test_only_so_many_ids_may_wait(new_user):
    carol = new_user("carol")
    ids = [create(carol)[0] for _ in range(5)]
    with pytest.raises(Refused) as e:
        create(carol)
    assert (e.value.status, e.value.errcode) == (429, "M_LIMIT_EXCEEDED")
    assert 0 < e.value.body["retry_after_ms"] <= 24 * 3600 * 1000
    assert fill(carol, ids[0]).status_code == 200
    create(carol)


def test_an_id_expires():
    s = Server(config={"unused_expiration_time": "1s", "rc_media_create": {"per_second": 0.001, "burst_count": 2}}).start()
    try:
        alice = Client(s.base).register("alice")
        id, _ = create(alice)
        wait_for(lambda: download(alice, id).status_code == 404, 10)
        assert refusal(fill(alice, id)) == (404, "M_NOT_FOUND")
        create(alice)
        with pytest.raises(Refused) as e:
            create(alice)
        assert e.value.errcode == "M_LIMIT_EXCEEDED"
    finally:
        s.close()


def test_a_quota_is_kept():
    s = Server(config={"media_upload_limits": [{"time_period": "1h", "max_size": "100K"}, {"time_period": "1d", "max_size": "1M"}]}).start()
    try:
        alice, bob = (Client(s.base).register(n) for n in ("alice", "bob"))
        put(alice, b"x" * 60_000)
        assert refusal(upload(alice, b"x" * 60_000)) == (400, "M_RESOURCE_LIMIT_EXCEEDED")
        put(alice, b"x" * 40_000)
        put(bob, b"x" * 60_000)
    finally:
        s.close()


# ── large, broken off, killed ──


def test_100_mb_up_and_down_in_bounded_memory(big):
    alice = Client(big.base).register("alice" + secrets.token_hex(4))
    put(alice, b"x" * 200_000)
    block = os.urandom(MIB)

    class Body:
        def __len__(self):
            return 100 * MIB

        def __iter__(self):
            for _ in range(100):
                yield block

        left = 100

        def read(self, n=-1):
            self.left -= 1
            return block if self.left >= 0 else b""

    before = peak(big)
    began = time.monotonic()
    r = requests.post(
        big.base + UPLOAD, data=Body(), headers={"Authorization": f"Bearer {alice.token}", "Content-Type": "video/mp4", "Content-Length": str(100 * MIB)}
    )
    assert r.status_code == 200, r.text
    up, up_s = peak(big) - before, time.monotonic() - began
    id = r.json()["content_uri"].rsplit("/", 1)[1]
    began = time.monotonic()
    got, sums = 0, hashlib.sha256()
    with requests.get(f"{big.base}/_matrix/client/v1/media/download/test/{id}", headers={"Authorization": f"Bearer {alice.token}"}, stream=True) as r:
        for chunk in r.iter_content(MIB):
            got += len(chunk)
            sums.update(chunk)
    want = hashlib.sha256()
    for _ in range(100):
        want.update(block)
    assert (got, sums.digest()) == (100 * MIB, want.digest())
    print(f"100 MiB: up {up_s:.2f} s, peak +{up / MIB:.1f} MiB; down {time.monotonic() - began:.2f} s, peak +{(peak(big) - before) / MIB:.1f} MiB in all")
    assert peak(big) - before < 40 * MIB


def start_upload(server, token, size, sent, path=UPLOAD, method="POST"):
    s = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    s.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {size}\r\n\r\n".encode())
    s.sendall(b"x" * sent)
    return s


def open_files(server):
    """What the server holds open below its media store."""
    base, found = os.path.realpath(os.path.join(server.dir, "media_store")), []
    for fd in pathlib.Path(f"/proc/{server.pid_of('media')}/fd").iterdir():
        try:
            at = os.readlink(fd)
        except FileNotFoundError:
            continue
        if at.startswith(base + "/"):
            found.append(at)
    return found


def test_an_upload_that_is_broken_off_leaves_nothing(server, alice):
    before = files(server, ".")
    for sent in (0, 1, 100_000, 900_000):
        s = start_upload(server, alice.token, MIB, sent)
        wait_for(lambda: open_files(server))
        s.close()
        wait_for(lambda: not open_files(server))
    assert files(server, ".") == before


def test_kill_9_during_an_upload_leaves_nothing():
    s = Server().start()
    try:
        alice = Client(s.base).register("alice")
        kept = put(alice, b"kept" * 100_000)
        id, _ = create(alice)
        before = files(s, ".")
        for path, method in ((UPLOAD, "POST"), (f"{UPLOAD}/test/{id}", "PUT")):
            for sent in (100_000, 900_000):
                c = start_upload(s, alice.token, MIB, sent, path, method)
                wait_for(lambda: open_files(s))
                s.kill()
                c.close()
                assert files(s, ".") == before
                s.start()
        assert download(alice, kept).content == b"kept" * 100_000
        assert fill(alice, id).status_code == 200
        assert download(alice, id).content == b"later"
    finally:
        s.close()


def test_every_acknowledged_upload_survives_kill_9():
    """Uploads go on while the server is killed again and again; what was answered with 200 is there, whole."""
    s = Server().start()
    try:
        alice = Client(s.base).register("alice")
        acked, stop = {}, threading.Event()

        def go():
            client = Client(s.base, alice.token)
            while not stop.is_set():
                data = secrets.token_bytes(secrets.choice((1000, 70_000, 400_000)))
                try:
                    r = upload(client, data)
                    if r.status_code == 200:
                        acked[r.json()["content_uri"].rsplit("/", 1)[1]] = hashlib.sha256(data).digest()
                except requests.RequestException:
                    client = Client(s.base, alice.token)

        threads = [threading.Thread(target=go) for _ in range(3)]
        for t in threads:
            t.start()
        for _ in range(5):
            n = len(acked)
            wait_for(lambda: len(acked) > n + 5, 30)
            s.kill()
            s.start()
        stop.set()
        for t in threads:
            t.join()
        print(f"{len(acked)} acknowledged uploads over 5 kills")
        assert len(acked) > 25
        for id, digest in acked.items():
            r = download(alice, id)
            assert r.status_code == 200 and hashlib.sha256(r.content).digest() == digest
        assert not [f for f in files(s, ".") if f.startswith("tmp/")]
    finally:
        s.close()


def test_a_file_that_is_gone_is_404(server, alice):
    id = put(alice)
    (pathlib.Path(server.dir) / "media_store" / "local_content" / id[:2] / id[2:4] / id[4:]).unlink()
    assert refusal(download(alice, id)) == (404, "M_NOT_FOUND")


def test_a_link_in_the_store_is_not_followed(server, alice):
    id = put(alice)
    path = pathlib.Path(server.dir) / "media_store" / "local_content" / id[:2] / id[2:4] / id[4:]
    path.unlink()
    path.symlink_to("/etc/passwd")
    r = download(alice, id)
    assert r.status_code in (404, 500) and b"root:" not in r.content


def test_media_are_counted(server, alice):
    download(alice, put(alice, b"x" * 100))
    text = requests.get(server.base_of("media") + "/_synapse/metrics").text
    assert re.search(r"^hs_media_uploads_total [1-9]", text, re.M)
    assert re.search(r"^hs_media_upload_bytes_total [1-9]", text, re.M)
    assert re.search(r"^hs_media_downloads_total [1-9]", text, re.M)
