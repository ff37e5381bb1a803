"""Reports: what users tell administrators of events, rooms and users."""

import contextlib

import pytest

from mx import Refused, quote

V1 = "/_synapse/admin/v1"


@contextlib.contextmanager
def refusal(status, errcode=None):
    with pytest.raises(Refused) as e:
        yield e
    assert e.value.status == status and errcode in (None, e.value.errcode), e.value


def report(who, room, event, **body):
    return who.post(f"/rooms/{quote(room)}/report/{quote(event)}", body)


def test_an_event_is_reported_listed_and_removed(admin, alice, bob):
    room = alice.create_room(preset="public_chat", name="Reported", room_alias_name="reported" + alice.user_id[1:12].replace(":", ""))
    bob.join(room)
    event = alice.text(room, "bad words")
    assert report(bob, room, event, reason="bad", score=-100) == {}
    assert report(bob, room, event) == {}
    listed = admin.get(V1 + "/event_reports", {"room_id": room})
    assert listed["total"] == 2 and "next_token" not in listed
    newest, oldest = listed["event_reports"]
    assert oldest == {
        "id": oldest["id"], "received_ts": oldest["received_ts"], "room_id": room, "event_id": event, "user_id": bob.user_id, "score": -100,
        "reason": "bad", "sender": alice.user_id, "canonical_alias": oldest["canonical_alias"], "name": "Reported",
    }  # fmt: skip
    assert (newest["reason"], newest["score"]) == (None, None)
    assert [r["id"] for r in admin.get(V1 + "/event_reports", {"room_id": room, "dir": "f"})["event_reports"]] == [oldest["id"], newest["id"]]
    page = admin.get(V1 + "/event_reports", {"user_id": bob.user_id[1:8], "event_sender_user_id": alice.user_id, "limit": 1})
    assert (page["total"], page["next_token"], [r["id"] for r in page["event_reports"]]) == (2, 1, [newest["id"]])
    assert admin.get(V1 + "/event_reports", {"room_id": room, "event_sender_user_id": bob.user_id})["total"] == 0
    detail = admin.get(f"{V1}/event_reports/{oldest['id']}")
    assert {k: v for k, v in detail.items() if k != "event_json"} == oldest
    assert detail["event_json"]["content"]["body"] == "bad words" and detail["event_json"]["sender"] == alice.user_id
    assert admin.delete(f"{V1}/event_reports/{oldest['id']}") == {}
    for call in (admin.get, admin.delete):
        with refusal(404, "M_NOT_FOUND"):
            call(f"{V1}/event_reports/{oldest['id']}")
        for bad in ("x", "-1"):
            with refusal(400, "M_INVALID_PARAM"):
                call(f"{V1}/event_reports/{bad}")
    for query in ({"dir": "x"}, {"from": -1}, {"limit": -1}):
        with refusal(400, "M_INVALID_PARAM"):
            admin.get(V1 + "/event_reports", query)


# C07 an event that the reporter cannot see, is of another room, or is not there
def test_only_what_one_sees_can_be_reported(admin, alice, bob):
    closed, other = alice.create_room(), alice.create_room(preset="public_chat")
    bob.join(other)
    hidden, shown = alice.text(closed, "closed"), alice.text(other, "open")
    for room, event in ((closed, hidden), (other, hidden), (closed, shown), (other, "$none"), ("!none:test", shown)):
        with refusal(404, "M_NOT_FOUND") as e:
            report(bob, room, event, reason="x")
        assert e.value.body["error"] == "Unable to report event: it does not exist or you aren't able to see it."
    assert admin.get(V1 + "/event_reports", {"user_id": bob.user_id})["total"] == 0
    assert report(bob, other, shown) == {}


# C17 reports that are too long, or no reports at all
def test_bad_reports_are_refused(alice):
    room = alice.create_room()
    event = alice.text(room, "x")
    for path in (f"/rooms/{quote(room)}/report/{quote(event)}", f"/rooms/{quote(room)}/report", f"/users/{quote(alice.user_id)}/report"):
        for bad in ({"reason": "x" * 1001}, {"reason": 1}, {"reason": None}, {"reason": "\0"}):
            with refusal(400, "M_BAD_JSON"):
                alice.post(path, bad)
    with refusal(400, "M_BAD_JSON"):
        report(alice, room, event, score="x")
    with refusal(400, "M_MISSING_PARAM"):
        alice.post(f"/rooms/{quote(room)}/report", {})


def test_rooms_and_users_are_reported(admin, alice, bob):
    room = alice.create_room()
    assert bob.post(f"/rooms/{quote(room)}/report", {"reason": "ä" * 1000}) == {}
    with refusal(404, "M_NOT_FOUND"):
        bob.post("/rooms/!none:test/report", {"reason": ""})
    for path in (f"/users/{quote(alice.user_id)}/report", "/users/@nobody:test/report", "/users/@x:elsewhere/report"):
        assert bob.post(path, {"reason": "rude"}) == {}
    listed = admin.get(V1 + "/user_reports", {"user_id": bob.user_id})
    [row] = listed["user_reports"]
    assert listed["total"] == 1 and row == {
        "id": row["id"], "received_ts": row["received_ts"], "target_user_id": alice.user_id, "user_id": bob.user_id, "reason": "rude",
    }  # fmt: skip
    assert admin.get(V1 + "/user_reports", {"target_user_id": alice.user_id[2:9], "user_id": bob.user_id})["user_reports"] == [row]
    assert admin.get(f"{V1}/user_reports/{row['id']}") == row
    with refusal(404, "M_NOT_FOUND"):
        admin.get(f"{V1}/event_reports/{row['id']}")
    assert admin.delete(f"{V1}/user_reports/{row['id']}") == {}
    with refusal(404, "M_NOT_FOUND"):
        admin.get(f"{V1}/user_reports/{row['id']}")


# C17 as many reports of one user as fit, and one more
def test_somebody_has_a_thousand_reports_that_nobody_has_looked_at(server, admin, alice, bob):
    path = f"/users/{quote(alice.user_id)}/report"
    bob.post(path, {"reason": "first"})
    server.sql("INSERT INTO report(report_nid, kind, ts, reporter_nid, target_nid) SELECT nextval('report_seq'), 'user', 0, r.reporter_nid, r.target_nid"
               f" FROM report r JOIN user_id u ON u.user_nid = r.reporter_nid, generate_series(1, 998) WHERE u.mxid = '{bob.user_id}'")  # fmt: skip
    bob.post(path, {"reason": "last"})
    with refusal(429, "M_LIMIT_EXCEEDED"):
        bob.post(path, {"reason": "too many"})
    [row] = admin.get(V1 + "/user_reports", {"user_id": bob.user_id, "limit": 1})["user_reports"]
    admin.delete(f"{V1}/user_reports/{row['id']}")
    assert bob.post(path, {"reason": "again"}) == {}


# -- statistics --------------------------------------------------------------------------------------------------------


def test_what_users_have_uploaded(admin, alice):
    for name, data in (("a.txt", b"x" * 10), ("b.txt", b"y" * 30)):
        r = alice.raw("POST", f"/_matrix/media/v3/upload?filename={name}", data=data, headers={"Content-Type": "text/plain"})
        assert r.status_code == 200, r.text
    local = alice.user_id[1:].partition(":")[0]
    told = admin.get(V1 + "/statistics/users/media", {"search_term": local})
    assert told == {"users": [{"user_id": alice.user_id, "displayname": local, "media_count": 2, "media_length": 40}], "total": 1}
    assert admin.get(V1 + "/statistics/users/media", {"search_term": local, "until_ts": 1})["total"] == 0
    for order in ("media_length", "media_count", "user_id", "displayname"):
        assert admin.get(V1 + "/statistics/users/media", {"order_by": order, "dir": "b"})["total"] >= 1
    for bad in ({"order_by": "x"}, {"search_term": ""}, {"from_ts": 5, "until_ts": 4}, {"from": -1}):
        with refusal(400, "M_INVALID_PARAM"):
            admin.get(V1 + "/statistics/users/media", bad)
    path = f"{V1}/users/{quote(alice.user_id)}/media"
    listed = admin.get(path)
    assert listed["total"] == 2 and [m["upload_name"] for m in listed["media"]] == ["b.txt", "a.txt"]
    assert set(listed["media"][0]) == {"media_id", "media_type", "media_length", "upload_name", "created_ts", "last_access_ts", "quarantined_by",
                                       "safe_from_quarantine"}  # fmt: skip
    assert [m["media_length"] for m in admin.get(path, {"order_by": "media_length"})["media"]] == [10, 30]
    assert admin.get(path, {"limit": 1})["next_token"] == 1
    with refusal(404):
        admin.get(f"{V1}/users/@nobody:test/media")


def test_the_largest_rooms_are_estimated(admin):
    for room in admin.get(V1 + "/statistics/database/rooms")["rooms"]:
        assert room["room_id"].startswith("!") and room["estimated_size"] >= 0
