"""What other servers may ask: the version, the signing keys, where the server is; and what is not served yet."""

import base64
import json
import time

import pytest
from Crypto.PublicKey import ECC  # pycryptodome, which matrix-nio brings along
from Crypto.Signature import eddsa

from mx import Client
from server import OneProcess

OLD = ECC.generate(curve="ed25519").public_key().export_key(format="raw")


def unpadded(data):
    return base64.b64encode(data).decode().rstrip("=")


def from_unpadded(text):
    return base64.b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture(scope="module")
def peer():
    s = OneProcess(
        name="keys.test",
        config={
            "old_signing_keys": {"ed25519:auto": {"key": unpadded(OLD), "expired_ts": 1576767829750}},
            "key_refresh_interval": "2h",
            "serve_server_wellknown": True,
        },
    )
    s.start()
    yield Client(s.base)
    s.close()


def check_signature(answer, name):
    """Spec, "Checking for a signature": over the canonical form without signatures and unsigned."""
    (key_id, signature), = answer["signatures"][name].items()
    public = eddsa.import_public_key(from_unpadded(answer["verify_keys"][key_id]["key"]))
    bare = {k: v for k, v in answer.items() if k not in ("signatures", "unsigned")}
    canonical = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    eddsa.new(public, "rfc8032").verify(canonical, from_unpadded(signature))


@pytest.mark.parametrize("path", ["/_matrix/key/v2/server", "/_matrix/key/v2/server/", "/_matrix/key/v2/server/ed25519:any"])
def test_the_keys_are_published_and_signed_with_themselves(peer, path):
    before = time.time() * 1000
    answer = peer.get(path)
    assert set(answer) == {"server_name", "valid_until_ts", "verify_keys", "old_verify_keys", "signatures"}
    assert answer["server_name"] == "keys.test"
    check_signature(answer, "keys.test")
    assert before + 7199000 <= answer["valid_until_ts"] <= time.time() * 1000 + 7201000
    assert answer["old_verify_keys"] == {"ed25519:auto": {"key": unpadded(OLD), "expired_ts": 1576767829750}}


def test_a_changed_byte_breaks_the_signature(peer):
    answer = peer.get("/_matrix/key/v2/server")
    answer["valid_until_ts"] += 1
    with pytest.raises(ValueError, match="signature"):
        check_signature(answer, "keys.test")


def test_the_version_says_what_runs(peer):
    server = peer.get("/_matrix/federation/v1/version")["server"]
    assert server["name"] == "hs" and server["version"]


def test_the_well_known_file_points_to_443(peer):
    assert peer.get("/.well-known/matrix/server") == {"m.server": "keys.test:443"}


@pytest.mark.parametrize(
    "method,path,status",
    [
        ("GET", "/_matrix/federation/v1/event/$x", 404),
        ("PUT", "/_matrix/federation/v1/send/1", 404),
        ("POST", "/_matrix/federation/v1/nonsense", 404),
        ("POST", "/_matrix/key/v2/query", 404),
        ("POST", "/_matrix/federation/v1/version", 405),
        ("PUT", "/_matrix/key/v2/server", 405),
    ],
)
def test_what_is_not_served_is_unrecognized(peer, method, path, status):
    answer = peer.raw(method, path, body={} if method != "GET" else None)
    assert answer.status_code == status
    assert answer.json()["errcode"] == "M_UNRECOGNIZED"


def test_a_bad_old_key_is_one_clear_line():
    s = OneProcess(name="bad.test", config={"old_signing_keys": {"ed25519:a": {"key": "c2hvcnQ", "expired_ts": 1}}})
    try:
        s.start(wait=False)
        assert s.process.wait(30) != 0
        assert "hs: old_signing_keys: ed25519:a: key: expected 32 bytes" in s.log()
    finally:
        s.close()


def test_a_listener_without_federation_serves_no_keys():
    s = OneProcess(name="client.test")
    s.config["listeners"][0]["resources"] = [{"names": ["client", "replication"]}]
    try:
        s.start()
        c = Client(s.base)
        assert c.raw("GET", "/_matrix/key/v2/server").status_code == 404
        assert c.raw("GET", "/_matrix/client/versions").status_code == 200
        assert s.log().count("resource replication is left out") == 1
    finally:
        s.close()
