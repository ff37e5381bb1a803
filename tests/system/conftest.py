import itertools
import secrets

import pytest

from mx import Client
from pg import Cluster
from redis_server import Redis
from server import CLUSTER, SECRET, Server

# With many processes: what starts processes of its own is the same as without.
collect_ignore = [
    f"test_{name}.py" for name in ("backpressure", "caches", "federation", "listeners", "proxies", "replace", "start", "sync_storm", "tools", "two_workers", "workers")
] if CLUSTER else []

_names = itertools.count(1)
_run = secrets.token_hex(3)  # a server that is used again has no such names yet


@pytest.fixture(scope="session")
def server():
    s = Server()
    s.start()
    yield s
    s.close()


@pytest.fixture
def new_user(server):
    """new_user("alice") registers somebody with a name nobody else has."""

    def make(name="user", **kw):
        return Client(server.base).register(f"{name}{next(_names)}-{_run}", **kw)

    return make


@pytest.fixture
def alice(new_user):
    return new_user("alice")


@pytest.fixture
def bob(new_user):
    return new_user("bob")


@pytest.fixture(scope="session")
def admin(server):
    """An administrator of the server."""
    return Client(server.base).register_with_secret(SECRET, f"admin-{_run}", admin=True)


@pytest.fixture
def anyone(server):
    """Nobody in particular: no token."""
    return Client(server.base)


@pytest.fixture
def room(alice, bob):
    """A public-chat room that alice made and bob joined."""
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    return room


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL of somebody else's."""
    c = Cluster()
    yield c
    c.close()


@pytest.fixture(scope="session")
def redis():
    """A Redis of somebody else's."""
    r = Redis()
    yield r
    r.close()
