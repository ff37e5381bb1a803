"""A Matrix client for tests: plain HTTP, nothing hidden."""

import hashlib
import hmac
import itertools
import json
import os
import urllib.parse

import requests

# For polls whose end is looked at: another worker may hear a moment later who is there, and end a poll by that.
NO_PRESENCE = '{"presence":{"types":[]}}'

_counter = itertools.count(1)
_record = open(os.environ["HS_RECORD"], "a") if os.environ.get("HS_RECORD") else None


def quote(s):
    return urllib.parse.quote(s, safe="")


class Refused(Exception):
    def __init__(self, response):
        self.status = response.status_code
        self.response = response
        try:
            self.body = response.json()
        except ValueError:
            self.body = {}
        self.errcode = self.body.get("errcode")
        super().__init__(f"{response.request.method} {response.request.path_url}: {self.status} {response.text[:300]}")


def record(method, path, body, response):
    """A line for tests/conformance/openapi.py."""
    try:
        answer = response.json()
    except ValueError:
        answer = None
    line = {"method": method, "path": path.partition("?")[0], "status": response.status_code, "request": body, "answer": answer}
    _record.write(json.dumps(line) + "\n")
    _record.flush()


class Client:
    def __init__(self, base, token=None):
        self.base = base
        self.http = requests.Session()
        self.token = token
        self.user_id = None
        self.device_id = None
        self.since = None

    # -- requests ---------------------------------------------------------------------------------------------------

    def raw(self, method, path, body=None, query=None, headers=None, data=None, token=True, timeout=60):
        h = dict(headers or {})
        if token and self.token:
            h.setdefault("Authorization", f"Bearer {self.token}")
        url = self.base + (path if path.startswith(("/_", "/.", "/health")) else "/_matrix/client/v3" + path)
        kwargs = {"json": body} if data is None and body is not None else {"data": data}
        answer = self.http.request(method, url, params=query, headers=h, timeout=timeout, **kwargs)
        if _record:
            record(method, url[len(self.base):], body, answer)
        return answer

    def call(self, method, path, body=None, query=None, **kw):
        r = self.raw(method, path, body, query, **kw)
        if r.status_code != 200:
            raise Refused(r)
        return r.json()

    def get(self, path, query=None, **kw):
        return self.call("GET", path, None, query, **kw)

    def put(self, path, body=None, **kw):
        return self.call("PUT", path, {} if body is None else body, **kw)

    def post(self, path, body=None, **kw):
        return self.call("POST", path, {} if body is None else body, **kw)

    def delete(self, path, body=None, **kw):
        return self.call("DELETE", path, body, **kw)

    # -- accounts ---------------------------------------------------------------------------------------------------

    def _take(self, answer):
        self.token = answer["access_token"]
        self.user_id = answer["user_id"]
        self.device_id = answer["device_id"]
        return self

    def register(self, name, password="a good password 1", **extra):
        body = {"username": name, "password": password, "auth": {"type": "m.login.dummy"}, **extra}
        return self._take(self.post("/register", body, token=False))

    def login(self, user, password="a good password 1", **extra):
        body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password}
        return self._take(self.post("/login", {**body, **extra}, token=False))

    def register_with_secret(self, secret, name, password="a good password 1", admin=False):
        nonce = self.get("/_synapse/admin/v1/register", token=False)["nonce"]
        words = [nonce, name, password, "admin" if admin else "notadmin"]
        mac = hmac.new(secret.encode(), "\0".join(words).encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": mac}
        return self._take(self.post("/_synapse/admin/v1/register", body, token=False))

    # -- rooms ------------------------------------------------------------------------------------------------------

    def create_room(self, **options):
        return self.post("/createRoom", options)["room_id"]

    def join(self, room):
        return self.post(f"/join/{quote(room)}")["room_id"]

    def leave(self, room, **body):
        return self.post(f"/rooms/{quote(room)}/leave", body)

    def invite(self, room, user, **body):
        return self.post(f"/rooms/{quote(room)}/invite", {"user_id": user, **body})

    def ban(self, room, user, **body):
        return self.post(f"/rooms/{quote(room)}/ban", {"user_id": user, **body})

    def kick(self, room, user, **body):
        return self.post(f"/rooms/{quote(room)}/kick", {"user_id": user, **body})

    def unban(self, room, user, **body):
        return self.post(f"/rooms/{quote(room)}/unban", {"user_id": user, **body})

    def send(self, room, type="m.room.message", content=None, txn=None):
        txn = txn or f"t{next(_counter)}"
        content = {"msgtype": "m.text", "body": "hello"} if content is None else content
        return self.put(f"/rooms/{quote(room)}/send/{quote(type)}/{quote(txn)}", content)["event_id"]

    def text(self, room, body, **extra):
        return self.send(room, content={"msgtype": "m.text", "body": body, **extra})

    def redact(self, room, event, txn=None, **body):
        txn = txn or f"t{next(_counter)}"
        return self.put(f"/rooms/{quote(room)}/redact/{quote(event)}/{quote(txn)}", body)["event_id"]

    def state(self, room, type, key=""):
        return self.get(f"/rooms/{quote(room)}/state/{quote(type)}/{quote(key)}")

    def set_state(self, room, type, content, key=""):
        return self.put(f"/rooms/{quote(room)}/state/{quote(type)}/{quote(key)}", content)["event_id"]

    def event(self, room, event):
        return self.get(f"/rooms/{quote(room)}/event/{quote(event)}")

    def messages(self, room, dir="b", **query):
        return self.get(f"/rooms/{quote(room)}/messages", {"dir": dir, **query})

    def receipt(self, room, event, type="m.read", body=None):
        return self.post(f"/rooms/{quote(room)}/receipt/{quote(type)}/{quote(event)}", body or {})

    def typing(self, room, on=True, timeout=30000):
        return self.put(f"/rooms/{quote(room)}/typing/{quote(self.user_id)}", {"typing": on, "timeout": timeout})

    # -- sync -------------------------------------------------------------------------------------------------------

    def sync(self, since=None, timeout=0, **query):
        if since:
            query["since"] = since
        return self.get("/sync", {"timeout": timeout, **query}, timeout=timeout / 1000 + 60)

    def next_sync(self, timeout=0, **query):
        answer = self.sync(self.since, timeout, **query)
        self.since = answer["next_batch"]
        return answer

    def sync_until(self, found, rounds=40, timeout=1000, **query):
        """Follows the stream from where it stands until found(answer) is true; gives what it returned."""
        for _ in range(rounds):
            answer = self.next_sync(timeout, **query)
            value = found(answer)
            if value:
                return value
        raise AssertionError(f"not seen in {rounds} syncs: {found}")

    def sync_until_event(self, room, event_id, **query):
        def found(answer):
            joined = answer.get("rooms", {}).get("join", {}).get(room, {})
            return [e for e in joined.get("timeline", {}).get("events", []) if e["event_id"] == event_id]

        return self.sync_until(found, **query)[0]


def refusal(call, *args, **kw):
    """The refusal that the call must meet."""
    try:
        answer = call(*args, **kw)
    except Refused as r:
        return r
    raise AssertionError(f"was not refused: {answer}")
