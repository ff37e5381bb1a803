#!/usr/bin/env python3
"""One script of calls, sent to this server and to Synapse: status, error code and the shape of the body must agree.

    beside.py [--show] [--only rooms,sync]      # SYNAPSE_PYTHON: a Python with matrix-synapse and psycopg2

The calls are lines of beside/*.calls:

    alice POST /createRoom {"preset": "public_chat"} > room=room_id, first=…     who, method, path below /_matrix/client/v3 or whole, body, what to keep
    - GET /_matrix/client/versions                                               nobody: no token
    eventually bob POST /user_directory/search {"search_term": "x"}              asked again until both have caught up
      ~ answer.unstable_features: ours is a list # why                           a difference of the call above that is meant

{room} stands for what was kept, {txn} for a fresh transaction id; alice, bob, carol, dave, admin and guest are made for each file, and {alice} is the id.
A difference without a reason, or a reason without its difference, fails the run."""

import argparse
import json
import pathlib
import re
import sys
import time
import urllib.parse

import requests

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "bench"), str(HERE.parent / "system")]
from mx import Client  # noqa: E402
from postgres import Postgres  # noqa: E402
from run import Ours, Synapse, synapse_python  # noqa: E402
from server import KEY  # noqa: E402

PEOPLE = ("alice", "bob", "carol", "dave", "admin", "guest")
WORDS = {  # keys whose values are the same on both, not only of the same kind
    "membership", "errcode", "limited", "join_rule", "history_visibility", "guest_access", "notification_count", "highlight_count", "total", "kind",
    "type", "visibility", "room_version", "enabled", "rule_id", "presence", "admin", "deactivated", "reason", "currently_active", "erased", "locked",
    "suspended", "joined_members", "num_joined_members", "count", "world_readable", "guest_can_join", "display_name", "displayname", "is_guest",
    "m.joined_member_count", "m.invited_member_count", "soft_logout", "default", "total_room_count_estimate", "user_type", "uses_allowed", "pending", "completed",
    "available", "room_type", "canonical_alias", "name", "topic", "replacement_room", "redacts", "stages", "status", "public", "federatable", "joined_local_members",
}


class Side:
    """A server and what was kept of its answers."""

    def __init__(self, target):
        self.target, self.names, self.tokens, self.txn = target, {}, {}, 0
        self.http = requests.Session()

    def people(self, area):
        client = Client(self.target.base)
        for name in PEOPLE:
            if name == "guest":
                answer = client.raw("POST", "/register", {}, {"kind": "guest"}, token=False).json()
            elif name == "admin":
                answer = self.by_secret(f"{name}-{area}")
            else:
                body = {"username": f"{name}-{area}", "password": "a good password 1", "auth": {"type": "m.login.dummy"}}
                answer = client.raw("POST", "/register", body, token=False).json()
            self.names[name] = answer.get("user_id", "@nobody:bench")
            self.names[name + "_device"] = answer.get("device_id", "NONE")
            self.tokens[name] = answer.get("access_token")
            self.names[name + "_local"] = f"{name}-{area}"
        self.names["area"] = area

    def by_secret(self, name):
        client = Client(self.target.base)
        client.register_with_secret("bench", name, "a good password 1", admin=True)
        return {"user_id": client.user_id, "device_id": client.device_id, "access_token": client.token}

    def fill(self, text, quoted):
        def value(m):
            name = m[1]
            if name == "txn":
                self.txn += 1
                return f"t{self.txn}"
            found = str(self.names.get(name, f"missing-{name}"))
            return urllib.parse.quote(found, safe="") if quoted else found

        return re.sub(r"\{([a-z_0-9]+)\}", value, text)

    def call(self, step):
        path = self.fill(step.path, True)
        url = self.target.base + (path if path.startswith("/_") or path.startswith("/.") else "/_matrix/client/v3" + path)
        headers = {}
        token = self.tokens.get(step.who) or self.names.get(step.who)
        if step.who != "-" and token:
            headers["Authorization"] = f"Bearer {token}"
        data = None
        if step.body is not None:
            data = self.fill(step.body, False).encode()
            headers["Content-Type"] = "application/json"
        answer = self.http.request(step.method, url, data=data, headers=headers, timeout=60)
        try:
            body = answer.json()
        except ValueError:
            body = {"(text)": True} if answer.text else None
        if answer.status_code == 200:
            self.keep(step, body)
        return answer.status_code, body

    def keep(self, step, body):
        for name, where in step.keep:
            value = body
            for part in where.split("."):
                if isinstance(value, list):
                    value = value[int(part)] if int(part) < len(value) else None
                elif isinstance(value, dict):
                    value = value.get(part)
            if value is not None:
                self.names[name] = value

    def plain(self, text):
        """A key with this server's own ids replaced by their names."""
        for name, value in self.names.items():
            if len(str(value)) > 5 and str(value) in text:
                text = text.replace(str(value), "{" + name + "}")
        return re.sub(r"[$!#@][A-Za-z0-9_+/=.-]{8,}(:bench)?|(?<=:)[A-Za-z]{10}$", "{id}", text)

    def shape(self, value, key=None):
        if isinstance(value, dict):
            return {self.plain(k): self.shape(v, k) for k, v in value.items()}
        if isinstance(value, list):
            kinds = {}
            for v in value:
                if isinstance(v, (dict, list)):
                    label = v.get("type") or v.get("rule_id") if isinstance(v, dict) else None
                    label = f"[{label}]" if isinstance(label, str) else "[]"
                    kinds[label] = merge(kinds.get(label), self.shape(v))
                else:
                    kinds["[]"] = merge(kinds.get("[]"), self.shape(v, key))
            return kinds
        if key in WORDS and not isinstance(value, float):
            return self.plain(json.dumps(value))
        if isinstance(value, bool):
            return "bool"
        return "null" if value is None else "number" if isinstance(value, (int, float)) else "string"


def merge(a, b):
    """The shape of either."""
    if a is None or a == b:
        return b
    if isinstance(a, dict) and isinstance(b, dict):
        return {k: merge(a.get(k), b.get(k)) if k in a and k in b else a.get(k, b.get(k)) for k in {**a, **b}}
    if isinstance(a, str) and isinstance(b, str):
        return "|".join(sorted(set(a.split("|")) | set(b.split("|"))))
    return a


def differences(ours, theirs, where):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for k in sorted(ours.keys() | theirs.keys()):
            at = f"{where}.{k}"
            if k not in theirs:
                yield f"{at}: only ours"
            elif k not in ours:
                yield f"{at}: only theirs"
            else:
                yield from differences(ours[k], theirs[k], at)
    elif ours != theirs:
        def kind(x):
            return x if isinstance(x, str) else "object or list"

        yield f"{where}: ours is {kind(ours)}, theirs {kind(theirs)}"


def compare(a, b, ours, theirs):
    (status, body), (their_status, their_body) = ours, theirs
    if status != their_status:
        code = body.get("errcode") if isinstance(body, dict) else None
        their_code = their_body.get("errcode") if isinstance(their_body, dict) else None
        yield f"status: ours is {status} {code}, theirs {their_status} {their_code}"
        return
    mine, their = a.shape(body), b.shape(their_body)
    if status != 200 and isinstance(mine, dict) and isinstance(their, dict) and "errcode" in mine:
        mine = {k: v for k, v in mine.items() if k != "error"}
        their = {k: v for k, v in their.items() if k != "error"}
    yield from differences(mine, their, "answer")


class Step:
    def __init__(self, file, number, line):
        self.at = f"{file}:{number}"
        self.line = line
        self.eventually = line.startswith("eventually ")
        head, _, keep = line.partition(" > ")
        self.keep = [tuple(x.strip().split("=", 1)) for x in keep.split(",")] if keep else []
        parts = head.removeprefix("eventually ").split(None, 3)
        self.who, self.method, self.path = parts[:3]
        self.body = parts[3].strip() if len(parts) > 3 else None
        if self.body is None and self.method in ("POST", "PUT"):
            self.body = "{}"
        self.reasons = {}


def read_steps(path):
    steps = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("  ~ "):
            what, _, reason = line[4:].partition(" # ")
            if not reason.strip():
                sys.exit(f"{path.name}:{number}: no reason given")
            steps[-1].reasons[what.strip()] = reason
        elif line and not line.startswith("#"):
            steps.append(Step(path.name, number, line))
    return steps


def read_general():
    found = []
    for line in (HERE / "beside" / "general.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern, _, reason = line.partition("  # ")
            if not reason.strip():
                sys.exit(f"general.txt: no reason given: {line}")
            found.append(re.compile(pattern.strip()))
    return found


def ask(step, a, b):
    """Both answers and how they differ. What is done in the background is asked for until both have done it."""
    end = time.monotonic() + (10 if step.eventually else 0)
    while True:
        ours, theirs = a.call(step), b.call(step)
        found = [what for what in compare(a, b, ours, theirs) if what not in step.reasons]
        if not found or time.monotonic() >= end:
            return ours, theirs, list(compare(a, b, ours, theirs))
        time.sleep(0.2)  # the step of the poll


def run_area(path, a, b, general, show):
    """How many calls, how many explained differences, how many problems."""
    area, explained, problems = path.stem, 0, 0
    steps = read_steps(path)
    for side in (a, b):
        side.people(area)
    for step in steps:
        ours, theirs, found = ask(step, a, b)
        for i, what in enumerate(found):
            if what in step.reasons or any(g.fullmatch(what) for g in general):
                explained += 1
                continue
            problems += 1
            print(f"{step.at}: {step.line}\n  ~ {what}")
            if show and i == 0:
                print(f"    ours   {ours[0]} {json.dumps(ours[1])[:1500]}\n    theirs {theirs[0]} {json.dumps(theirs[1])[:1500]}")
        for what in step.reasons:
            if what not in found:
                problems += 1
                print(f"{step.at}: {step.line}\n  explained, but not seen: {what}")
    return len(steps), explained, problems


# What both run with, beside what the benchmark gives them.
CONFIG = {
    "allow_guest_access": True,
    "caches": {"sync_response_cache_duration": "0s"},
    "presence": {"enabled": True},
    "enable_registration": True,
    "room_list_publication_rules": [{"action": "allow"}],
    "max_event_delay_duration": "24h",
    "experimental_features": {"msc4155_enabled": True, "msc4354_enabled": True},
    "user_directory": {"search_all_users": True},
    "login_via_existing_session": {"enabled": True, "require_ui_auth": False},
    "refreshable_access_token_lifetime": "5m",
    "server_notices": {"system_mxid_localpart": "notices", "system_mxid_display_name": "Notices", "room_name": "Notices"},
    "rc_login": {k: {"per_second": 9999, "burst_count": 9999} for k in ("address", "account", "failed_attempts")},
    "rc_presence": {"per_user": {"per_second": 9999, "burst_count": 9999}},
    "rc_reports": {"per_second": 9999, "burst_count": 9999},
    "rc_user_directory": {"per_second": 9999, "burst_count": 9999},
    "rc_delayed_event_mgmt": {"per_second": 9999, "burst_count": 9999},
    "rc_admin_redaction": {"per_second": 9999, "burst_count": 9999},
    "rc_registration_token_validity": {"per_second": 9999, "burst_count": 9999},
    "rc_media_create": {"per_second": 9999, "burst_count": 9999},
    "rc_room_creation": {"per_second": 9999, "burst_count": 9999},
}


def with_config(kind):
    class Configured(kind):
        def config(self):
            return {**super().config(), **CONFIG}

    return Configured


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--show", action="store_true", help="with both answers")
    args.add_argument("--only", help="comma-separated names of beside/*.calls")
    opts = args.parse_args()
    paths = sorted((HERE / "beside").glob("*.calls"))
    if opts.only:
        paths = [p for p in paths if p.stem in opts.only.split(",")]
    pg = Postgres(max_connections=60)
    targets = [with_config(Ours)("hs", pg), with_config(Synapse)("synapse", pg, synapse_python())]
    calls = explained = problems = 0
    general = read_general()
    try:
        for t in targets:
            pathlib.Path(t.dir, "signing.key").write_text(KEY + "\n")
            t.start()
        a, b = (Side(t) for t in targets)
        for path in paths:
            n, e, p = run_area(path, a, b, general, opts.show)
            print(f"{path.stem}: {n} calls, {e} differences explained, {p} not", file=sys.stderr)
            calls, explained, problems = calls + n, explained + e, problems + p
    finally:
        for t in targets:
            t.close()
        pg.close()
    print(f"{calls} calls, {explained} differences explained, {problems} not")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
