"""Thumbnails of local media: which there are, what they look like, and that no image harms the server."""

import os
import pathlib
import random
import re
import struct
import subprocess
import threading
import time
import zlib

import pytest
import requests

from mx import Client
from server import Server, program, wait_for
from test_media import SAFE_HEADERS, create, disposition, download, put, refusal, upload

IMAGES = pathlib.Path(__file__).parent / "images"


def chunk(type, data):
    return struct.pack(">I", len(data)) + type + data + struct.pack(">I", zlib.crc32(type + data))


def png(width, height, pixel=lambda x, y: (200, 100, 50), depth=8, kind=2, data=None):
    """An image, or only the claim to be one when `data` is given."""
    if data is None:
        data = zlib.compress(b"".join(b"\0" + b"".join(bytes(pixel(x, y)) for x in range(width)) for y in range(height)))
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def gif(width, height, frames):
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\xff\0\0\0\0\xff"
    frame = b"\x21\xf9\x04\0\x0a\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return screen + frame * frames + b"\x3b"


def size_of(data):
    """Kind, width, height, whether it moves."""
    if data.startswith(b"\x89PNG"):
        return ("png", *struct.unpack(">II", data[16:24]), False)
    if data.startswith(b"\xff\xd8"):
        at = 2
        while data[at + 1] not in range(0xC0, 0xC4):
            at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
        height, width = struct.unpack(">HH", data[at + 5 : at + 9])
        return "jpeg", width, height, False
    assert data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    if data[12:16] == b"VP8X":
        w, h = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return "webp", w, h, bool(data[20] & 2)
    assert data[12:16] == b"VP8 "
    return "webp", *(n & 0x3FFF for n in struct.unpack("<HH", data[26:30])), False


def pixels(data):
    """Rows of (r, g, b) of a PNG of 8 bits without interlacing."""
    _, width, height, _ = size_of(data)
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[data[25]]
    at, packed = 8, b""
    while at < len(data):
        n = struct.unpack(">I", data[at : at + 4])[0]
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + n]
        at += 12 + n
    raw, rows, before = zlib.decompress(packed), [], bytes(width * channels)
    for y in range(height):
        how, line = raw[y * (width * channels + 1)], bytearray(raw[y * (width * channels + 1) + 1 : (y + 1) * (width * channels + 1)])
        for i in range(len(line)):
            a = line[i - channels] if i >= channels else 0
            b, c = before[i], before[i - channels] if i >= channels else 0
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line[i] = (line[i] + (0, a, b, (a + b) // 2, paeth)[how]) & 255
        before = bytes(line)
        rows.append([tuple(line[x * channels : x * channels + 3]) for x in range(width)])
    return rows


def is_about(pixel, wanted):
    return all(abs(a - b) < 40 for a, b in zip(pixel, wanted))


def thumbnail(client, id, width, height, prefix="/_matrix/client/v1/media", token=True, **query):
    return client.raw("GET", f"{prefix}/thumbnail/test/{id}", query={"width": width, "height": height, **query}, token=token)


def made(server, id):
    """The thumbnails on the disk: "32-32-image-png-crop" …"""
    base = pathlib.Path(server.dir) / "media_store" / "local_thumbnails" / id[:2] / id[2:4] / id[4:]
    return sorted(p.name for p in base.iterdir()) if base.exists() else []


@pytest.fixture(scope="module")
def dynamic():
    s = Server(config={"dynamic_thumbnails": True}).start()
    s.alice = Client(s.base).register("alice")
    yield s
    s.close()


# ── what is made at upload ──


def test_sizes_and_formats_are_synapses(server, alice):
    id = put(alice, png(1000, 500), "image/png")
    assert made(server, id) == sorted(["320-160-image-png-scale", "32-32-image-png-crop", "640-320-image-png-scale", "800-400-image-png-scale", "96-96-image-png-crop"])
    id = put(alice, (IMAGES / "sideways.jpg").read_bytes(), "image/jpeg")
    assert made(server, id) == ["180-240-image-jpeg-scale", "300-400-image-jpeg-scale", "32-32-image-jpeg-crop", "96-96-image-jpeg-crop"]
    id = put(alice, (IMAGES / "still.webp").read_bytes(), "image/webp")
    assert made(server, id) == ["32-32-image-jpeg-crop", "320-240-image-jpeg-scale", "400-300-image-jpeg-scale", "96-96-image-jpeg-crop"]


@pytest.mark.parametrize("name, still", [("moving.gif", "png"), ("moving.webp", "jpeg")])
def test_animations_are_kept_beside_their_first_frame(server, alice, name, still):
    id = put(alice, (IMAGES / name).read_bytes(), f"image/{name[7:]}")
    sizes = ["32-32-image-{}-crop", "60-40-image-{}-scale", "96-96-image-{}-crop"]
    assert made(server, id) == sorted(s.format(k) for s in sizes for k in (still, "webp"))
    assert size_of(thumbnail(alice, id, 60, 40).content) == (still, 60, 40, False)
    for method, w, h in (("scale", 60, 40), ("crop", 32, 32), ("crop", 96, 96)):
        r = thumbnail(alice, id, w, h, method=method, animated="true")
        assert r.headers["Content-Type"] == "image/webp"
        assert size_of(r.content) == ("webp", w, h, True)
        assert r.content.count(b"ANMF") == 3


def test_a_thumbnail_is_never_larger_than_the_image(server, alice):
    id = put(alice, png(20, 10), "image/png")
    assert made(server, id) == ["20-10-image-png-scale", "32-32-image-png-crop", "96-96-image-png-crop"]


def test_content_that_comes_later_gets_thumbnails_too(server, alice):
    id, _ = create(alice)
    r = upload(alice, png(50, 50), "image/png", path=f"/_matrix/media/v3/upload/test/{id}", method="PUT")
    assert r.status_code == 200
    assert size_of(thumbnail(alice, id, 50, 50).content) == ("png", 50, 50, False)


# ── which one is served ──


def test_the_nearest_is_served(alice):
    id = put(alice, png(1000, 500), "image/png")
    for width, height, method, want in (
        (32, 32, "crop", (32, 32)),
        (33, 33, "crop", (96, 96)),
        (500, 500, "crop", (96, 96)),
        (96, 10, "crop", (32, 32)),
        (96, 50, "crop", (96, 96)),
        (320, 160, "scale", (320, 160)),
        (310, 170, "scale", (320, 160)),
        (400, 300, "scale", (640, 320)),
        (5000, 5000, "scale", (800, 400)),
        (1, 1, None, (320, 160)),
    ):
        r = thumbnail(alice, id, width, height, **({"method": method} if method else {}))
        assert (r.status_code, size_of(r.content)[1:3]) == (200, want), (width, height, method)


def test_answers_have_the_headers_of_downloads(alice):
    id = put(alice, png(100, 100), "image/png", "secret name.png")
    r = thumbnail(alice, id, 32, 32, method="crop")
    for k, v in SAFE_HEADERS.items():
        assert r.headers[k] == v
    assert r.headers["Content-Type"] == "image/png"
    assert disposition(r) == ("inline", None)
    assert r.headers["ETag"] == "1"
    r = alice.raw("GET", f"/_matrix/client/v1/media/thumbnail/test/{id}", query={"width": 32, "height": 32}, headers={"If-None-Match": "1"})
    assert r.status_code == 304


def test_what_is_asked_for_must_make_sense(alice, anyone):
    id = put(alice, png(100, 100), "image/png")
    assert refusal(thumbnail(anyone, id, 32, 32)) == (401, "M_MISSING_TOKEN")
    assert refusal(thumbnail(alice, "A" * 24, 32, 32)) == (404, "M_NOT_FOUND")
    assert refusal(thumbnail(alice, id, 32, 32, method="stretch")) == (404, "M_NOT_FOUND")
    assert refusal(thumbnail(alice, id, 0, 32)) == (400, "M_INVALID_PARAM")
    assert refusal(thumbnail(alice, id, "x", 32)) == (400, "M_INVALID_PARAM")
    assert refusal(thumbnail(alice, id, None, 32)) == (400, "M_MISSING_PARAM")
    assert refusal(thumbnail(alice, id, 32, None)) == (400, "M_MISSING_PARAM")
    assert refusal(thumbnail(alice, put(alice, b"text", "text/plain"), 32, 32)) == (400, "M_UNKNOWN")
    id, _ = create(alice)
    assert refusal(thumbnail(alice, id, 32, 32, timeout_ms=0)) == (504, "M_NOT_YET_UPLOADED")


def test_without_a_token_there_are_only_older_ones(alice, anyone):
    id = put(alice, png(100, 100), "image/png")
    for version in ("r0", "v1", "v3"):
        assert refusal(thumbnail(anyone, id, 32, 32, prefix=f"/_matrix/media/{version}")) == (404, "M_NOT_FOUND")
    s = Server(config={"enable_authenticated_media": False}).start()
    try:
        bob = Client(s.base).register("bob")
        id = put(bob, png(100, 100), "image/png")
        assert size_of(thumbnail(bob, id, 32, 32, prefix="/_matrix/media/v3", token=False, method="crop").content)[1:3] == (32, 32)
    finally:
        s.close()


def test_a_thumbnail_that_was_deleted_is_made_again(server, alice):
    id = put(alice, png(100, 100), "image/png")
    (pathlib.Path(server.dir) / "media_store" / "local_thumbnails" / id[:2] / id[2:4] / id[4:] / "32-32-image-png-crop").unlink()
    assert size_of(thumbnail(alice, id, 32, 32, method="crop").content)[1:3] == (32, 32)
    assert "32-32-image-png-crop" in made(server, id)


# ── on demand ──


def test_dynamic_thumbnails_have_the_size_that_is_asked_for(dynamic):
    alice = dynamic.alice
    id = put(alice, png(1000, 500), "image/png")
    for width, height, method, want in ((77, 33, "crop", (77, 33)), (77, 77, "scale", (77, 38)), (2000, 2000, "scale", (1000, 500)), (500, 3, "crop", (500, 3))):
        for _ in range(2):
            r = thumbnail(alice, id, width, height, method=method)
            assert size_of(r.content) == ("png", *want, False)
        assert f"{width}-{height}-image-png-{method}" in made(dynamic, id)
    assert refusal(thumbnail(alice, put(alice, b"no image", "image/png"), 32, 32)) == (400, "M_UNKNOWN")
    assert refusal(thumbnail(alice, id, 32, 32, method="stretch")) == (400, "M_UNKNOWN")
    id = put(alice, (IMAGES / "moving.gif").read_bytes(), "image/gif")
    assert size_of(thumbnail(alice, id, 30, 30, method="crop", animated="true").content) == ("webp", 30, 30, True)


def test_an_image_is_turned_as_its_camera_was_held(dynamic):
    """Red is left and blue right in the file, which says that it lies on its side: red is above."""
    id = put(dynamic.alice, (IMAGES / "sideways.jpg").read_bytes(), "image/jpeg")
    rows = pixels(thumbnail(dynamic.alice, id, 30, 40).content)
    assert (len(rows[0]), len(rows)) == (30, 40)
    for x in (2, 15, 27):
        assert is_about(rows[2][x], (255, 0, 0)) and is_about(rows[37][x], (0, 0, 255))


def test_a_crop_is_the_middle(dynamic):
    id = put(dynamic.alice, png(300, 100, lambda x, y: ((255, 0, 0), (0, 255, 0), (0, 0, 255))[x // 100]), "image/png")
    rows = pixels(thumbnail(dynamic.alice, id, 20, 20, method="crop").content)
    assert all(is_about(p, (0, 255, 0)) for row in rows[2:-2] for p in row[2:-2])


# ── images that are none, or worse ──

NOT_DECODED = {
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="100" height="100"><rect width="100" height="100"/></svg>',
    "pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\nshowpage\n",
    "tiff": b"II*\0\x08\0\0\0" + bytes(200),
    "bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 58, 0, 0, 54, 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0) + bytes(4),
    "heif": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
    "ppm": b"P6 1 1 255\n\xff\0\0",
    "magick": b"push graphic-context\nviewbox 0 0 1 1\nimage over 0,0 0,0 'https://example.org/x'\npop graphic-context\n",
    "vips": b"\x08\xf2\xa6\xb6" + bytes(60),
    "nothing": b"\0",
    "html in front of an image": b"<html>" + png(10, 10),
    "cut off": png(100, 100)[:-60],
    "broken data": png(100, 100, data=b"\xff" * 100),
    "no rows": png(100, 100, data=zlib.compress(b"")),
    "only a head": png(10, 10)[:33],
    "width 0": png(0, 100, data=zlib.compress(b"")),
    "jpeg head": b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0",
    "gif head": b"GIF89a\xff\xff\xff\xff\xf7\0\0",
    "webp head": b"RIFF\xff\xff\xff\x7fWEBPVP8X\x0a\0\0\0\x10\0\0\0\xff\xff\xff\xff\xff\xff",
    "webp in webp": b"RIFF" + struct.pack("<I", 4000) + b"WEBPVP8X\x0a\0\0\0\2\0\0\0\0\0\0\0\0\0" + b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\2\0\0\0\0\0\0\0\0\0" * 100,
}


@pytest.mark.parametrize("name", NOT_DECODED)
def test_what_is_no_sound_image_has_no_thumbnail(server, alice, name):
    data = NOT_DECODED[name]
    for type in ("image/png", "image/jpeg", "image/gif", "image/webp"):
        id = put(alice, data, type)
        assert made(server, id) == []
        assert refusal(thumbnail(alice, id, 32, 32)) == (400, "M_UNKNOWN")
        assert download(alice, id).content == data
        (line,) = wait_for(lambda: [l for l in server.log().splitlines() if "media.no_thumbnail" in l and id in l])
        assert "the decoder failed" not in line  # it said why, nothing had to be stopped


def test_the_type_that_is_claimed_does_not_choose_the_decoder(server, alice):
    id = put(alice, png(40, 40), "image/jpeg")
    assert made(server, id) == ["32-32-image-png-crop", "40-40-image-png-scale", "96-96-image-png-crop"]
    for type in ("image/svg+xml", "image/tiff", "application/pdf", "text/html"):
        assert made(server, put(alice, png(40, 40), type)) == []


def helpers(server):
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if p.read_bytes() == b"hs\0thumbnailer\0" and f"\nPPid:\t{server.pid_of('media')}\n" in (p.parent / "status").read_text():
                found.append(int(p.parent.name))
        except OSError:
            continue
    return found


BOMBS = {
    "50,000 x 50,000": lambda: png(50_000, 50_000, depth=1, kind=0, data=zlib.compress(bytes(1000))),
    "2^31 x 1": lambda: png(2**31 - 1, 1, depth=1, kind=0, data=zlib.compress(bytes(1000))),
    "1 x 30,000,000": lambda: png(1, 30_000_000, depth=8, kind=0, data=zlib.compress(bytes(60_000_000))),
    "a million frames": lambda: gif(10, 10, 1_000_000),
    "a large screen with many frames": lambda: gif(5000, 5000, 10_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_do_no_harm(server, alice, name):
    data = BOMBS[name]()
    began = time.monotonic()
    r = upload(alice, data, "image/png")
    assert r.status_code == 200
    assert time.monotonic() - began < 40
    print(f"{name}: {len(data)} bytes, {time.monotonic() - began:.1f} s")
    assert requests.get(server.base + "/health").text == "OK"
    id = put(alice, png(100, 100), "image/png")
    assert size_of(thumbnail(alice, id, 32, 32, method="crop").content)[1:3] == (32, 32)


def test_the_largest_image_that_is_allowed_is_made(server, alice):
    """32 Mi pixels, four bytes each, in a file of 130 KB."""
    data = png(8000, 4190, depth=8, kind=6, data=zlib.compress(bytes((8000 * 4 + 1) * 4190), 9))
    began = time.monotonic()
    id = put(alice, data, "image/png")
    print(f"{time.monotonic() - began:.1f} s")
    assert len(made(server, id)) == 5
    assert made(server, put(alice, png(8000, 4195, depth=8, kind=6, data=zlib.compress(bytes((8000 * 4 + 1) * 4195), 9)), "image/png")) == []


def test_others_are_served_while_images_are_decoded(server, alice, bob):
    data = png(6000, 4000, depth=8, kind=6, data=zlib.compress(bytes((6000 * 4 + 1) * 4000), 9))
    threads = [threading.Thread(target=put, args=(Client(server.base, alice.token), data, "image/png")) for _ in range(4)]
    for t in threads:
        t.start()
    worst = 0
    while any(t.is_alive() for t in threads):
        began = time.monotonic()
        assert bob.raw("GET", "/account/whoami").status_code == 200
        worst = max(worst, time.monotonic() - began)
    print(f"slowest other request: {worst * 1000:.0f} ms")
    assert worst < 2


def test_a_helper_that_dies_is_replaced(server, alice):
    put(alice, png(50, 50), "image/png")
    (pid,) = helpers(server)
    os.kill(pid, 9)
    wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists() or "\nState:\tZ" in pathlib.Path(f"/proc/{pid}/status").read_text())
    id = put(alice, png(50, 50), "image/png")
    assert len(made(server, id)) == 3
    assert len(helpers(server)) == 1 and helpers(server) != [pid]


# Z12
def test_the_helper_is_given_nothing_of_the_worker(server, alice):
    made(server, put(alice, png(50, 50), "image/png"))
    (pid,) = helpers(server)
    at = pathlib.Path(f"/proc/{pid}")
    opened = {int(fd.name): os.readlink(fd) for fd in (at / "fd").iterdir()}
    assert opened.pop(0) == opened.pop(1) == "/dev/null"
    assert opened.pop(2) == os.readlink(f"/proc/{server.pid_of('media')}/fd/2")
    assert [link.split(":")[0] for link in opened.values()] == ["socket"], opened
    assert sorted(v.split(b"=")[0] for v in (at / "environ").read_bytes().split(b"\0") if v) == [b"LC_ALL", b"PATH"]


def test_the_sandbox_holds():
    r = subprocess.run([program(), "thumbnailer", "--check"], capture_output=True, text=True)
    assert r.stdout == "libvips: loaded\nsandbox: entered\na file: refused\na socket: refused\na program: refused\n"
    assert r.returncode == 0


# Z12 the helper has a log and a socket of ours, and no secret
def test_the_helper_inherits_nothing_else(server, alice):
    put(alice, png(50, 50), "image/png")
    (pid,) = helpers(server)
    fds = {n: os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")}
    assert sorted(fds) == ["0", "1", "2", "3"] and fds["0"] == fds["1"] == "/dev/null" and fds["3"].startswith("socket:"), fds
    names = [v.split("=")[0] for v in pathlib.Path(f"/proc/{pid}/environ").read_text().split("\0") if v]
    assert not [n for n in names if "PASSWORD" in n or "SECRET" in n or n.startswith(("PG", "SYNAPSE", "HS_"))], names


def test_random_damage(server, alice):
    """Bytes of sound images are changed at random: each is either made or not, and the server stays."""
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    rnd = random.Random(seed)
    samples = [p.read_bytes() for p in sorted(IMAGES.iterdir())] + [png(60, 60)]
    for _ in range(40):
        data = bytearray(rnd.choice(samples))
        for _ in range(rnd.randint(1, 30)):
            data[rnd.randrange(12, len(data))] = rnd.randrange(256)
        put(alice, bytes(data), rnd.choice(("image/png", "image/gif", "image/webp", "image/jpeg")))
    id = put(alice, png(50, 50), "image/png")
    assert len(made(server, id)) == 3


def test_thumbnails_are_counted(server, alice):
    put(alice, png(50, 50), "image/png")
    put(alice, b"no image", "image/png")
    text = requests.get(server.base_of("media") + "/_synapse/metrics").text
    assert re.search(r"^hs_media_thumbnails_total [1-9]", text, re.M)
    assert re.search(r"^hs_media_images_refused_total [1-9]", text, re.M)
