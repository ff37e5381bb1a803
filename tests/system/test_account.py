"""Profile, filters, account data, tags, push rules, capabilities."""

import pytest

from mx import quote, refusal


def test_versions_and_capabilities(alice, anyone):
    assert "v1.1" in anyone.get("/_matrix/client/versions")["versions"]
    caps = alice.get("/capabilities")["capabilities"]
    assert caps["m.change_password"] == {"enabled": True}
    assert caps["m.room_versions"]["default"] == "11"
    assert {"10", "11", "12"} <= set(caps["m.room_versions"]["available"])


def test_profiles_are_set_and_shown(alice, anyone):
    alice.put(f"/profile/{alice.user_id}/displayname", {"displayname": "Alice ✨"})
    alice.put(f"/profile/{alice.user_id}/avatar_url", {"avatar_url": "mxc://test/abc"})
    assert anyone.get(f"/profile/{alice.user_id}") == {"displayname": "Alice ✨", "avatar_url": "mxc://test/abc"}
    assert anyone.get(f"/profile/{alice.user_id}/displayname") == {"displayname": "Alice ✨"}


def test_a_new_users_name_is_the_localpart(alice, anyone):
    local = alice.user_id[1:].split(":")[0]
    assert anyone.get(f"/profile/{alice.user_id}/displayname") == {"displayname": local}


def test_a_profile_has_fields_of_any_name(server, alice, bob, anyone):
    mine = f"/profile/{alice.user_id}"
    before = anyone.get(mine)
    alice.put(mine + "/m.tz", {"m.tz": "Europe/Berlin"})
    alice.put(f"/_matrix/client/unstable/uk.tcpip.msc4133{mine}/org.example.f", {"org.example.f": {"a": [1, 2.5, None, "\0"]}})
    assert anyone.get(mine) == {**before, "m.tz": "Europe/Berlin", "org.example.f": {"a": [1, 2.5, None, "\0"]}}
    assert anyone.get(mine + "/m.tz") == {"m.tz": "Europe/Berlin"}
    alice.put(mine + "/m.tz", {"m.tz": None})
    assert anyone.get(mine + "/m.tz") == {"m.tz": None}
    assert alice.delete(mine + "/m.tz") == {} == alice.delete(mine + "/m.tz")
    r = refusal(anyone.get, mine + "/m.tz")
    assert (r.status, r.errcode) == (404, "M_NOT_FOUND")
    r = refusal(bob.put, mine + "/m.tz", {"m.tz": "x"})
    assert (r.status, r.errcode) == (400, "M_FORBIDDEN")
    r = refusal(alice.put, mine + "/m.tz", {"other": "x"})
    assert (r.status, r.errcode) == (400, "M_MISSING_PARAM")
    for name, code in (("x" * 256, "M_KEY_TOO_LARGE"), ("Upper", "M_INVALID_PARAM"), ("1st", "M_INVALID_PARAM"), ("a%20b", "M_INVALID_PARAM")):
        for call in (alice.get, alice.delete, lambda p: alice.put(p, {})):
            r = refusal(call, f"{mine}/{name}")
            assert (r.status, r.errcode) == (400, code), name
    fields = alice.get("/capabilities")["capabilities"]["m.profile_fields"]
    assert fields == {"enabled": True}


# C17 a profile of 64 KiB, and a byte more
def test_a_profile_has_a_size(alice, anyone):
    mine = f"/profile/{alice.user_id}"
    name = len(anyone.get(mine)["displayname"])
    for field in ("a", "b"):
        alice.put(f"{mine}/{field}", {field: "x" * 30000})
    last = 65536 - 2 * 30003 - 1 - name - 2
    r = refusal(alice.put, mine + "/c", {"c": "x" * (last + 1)})
    assert (r.status, r.errcode) == (400, "M_PROFILE_TOO_LARGE") and "c" not in anyone.get(mine)
    alice.put(mine + "/c", {"c": "x" * last})
    alice.put(mine + "/c", {"c": "y" * last})
    assert refusal(alice.put, mine + "/d", {"d": 1}).errcode == "M_PROFILE_TOO_LARGE"
    alice.post("/account/deactivate", {"erase": True, "auth": {"type": "m.login.password", "user": alice.user_id, "password": "a good password 1"}})
    assert refusal(anyone.get, mine).status == 404


def test_nobody_sets_anothers_profile(alice, bob):
    r = refusal(bob.put, f"/profile/{alice.user_id}/displayname", {"displayname": "not me"})
    assert r.status in (400, 403)


def test_an_unknown_profile_is_not_found(anyone):
    assert refusal(anyone.get, "/profile/@nobody:test").status == 404


def test_a_new_name_reaches_the_rooms(alice, bob, room):
    bob.next_sync()
    alice.put(f"/profile/{alice.user_id}/displayname", {"displayname": "Renamed"})

    def renamed(answer):
        events = answer.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])
        return [e for e in events if e["type"] == "m.room.member" and e["content"].get("displayname") == "Renamed"]

    event = bob.sync_until(renamed)[0]
    assert event["state_key"] == alice.user_id and event["content"]["membership"] == "join"


def test_filters_come_back_as_they_were_put(alice, bob):
    body = {"room": {"timeline": {"limit": 10, "types": ["m.room.message"]}}}
    fid = alice.post(f"/user/{alice.user_id}/filter", body)["filter_id"]
    assert alice.get(f"/user/{alice.user_id}/filter/{fid}") == body
    assert refusal(alice.get, f"/user/{alice.user_id}/filter/12345").status == 404
    r = refusal(bob.get, f"/user/{alice.user_id}/filter/{fid}")
    assert r.status == 403
    r = refusal(bob.post, f"/user/{alice.user_id}/filter", body)
    assert r.status == 403


@pytest.mark.parametrize("bad", [{"room": {"timeline": {"types": "m.x"}}}, {"room": {"rooms": ["no-room-id"]}}, {"room": []}])
def test_a_filter_of_wrong_shape_is_refused(alice, bad):
    assert refusal(alice.post, f"/user/{alice.user_id}/filter", bad).status == 400


def room_account_data(answer, room):
    return answer.get("rooms", {}).get("join", {}).get(room, {}).get("account_data", {}).get("events", [])


def test_account_data_is_kept_and_synced(alice):
    path = f"/user/{alice.user_id}/account_data/org.example.config"
    assert refusal(alice.get, path).errcode == "M_NOT_FOUND"
    alice.next_sync()
    alice.put(path, {"theme": "dark"})
    assert alice.get(path) == {"theme": "dark"}
    event = {"type": "org.example.config", "content": {"theme": "dark"}}
    alice.sync_until(lambda answer: event in answer.get("account_data", {}).get("events", []))


def test_account_data_of_a_room_is_kept_and_synced(alice, bob, room):
    path = f"/user/{alice.user_id}/rooms/{quote(room)}/account_data/org.example.note"
    alice.next_sync()
    alice.put(path, {"n": 1})
    assert alice.get(path) == {"n": 1}
    alice.sync_until(lambda answer: {"type": "org.example.note", "content": {"n": 1}} in room_account_data(answer, room))
    assert refusal(bob.get, path).status == 403


def test_some_types_are_the_servers_own(alice, room):
    for path in (f"/user/{alice.user_id}/account_data/m.push_rules",
                 f"/user/{alice.user_id}/rooms/{quote(room)}/account_data/m.fully_read"):
        r = refusal(alice.put, path, {})
        assert (r.status, r.errcode) == (405, "M_BAD_JSON")


def test_tags_come_and_go(alice, room):
    path = f"/user/{alice.user_id}/rooms/{quote(room)}/tags"
    assert alice.get(path) == {"tags": {}}
    alice.next_sync()
    alice.put(path + "/m.favourite", {"order": 0.25})
    alice.put(path + "/u.work", {})
    assert alice.get(path) == {"tags": {"m.favourite": {"order": 0.25}, "u.work": {}}}
    alice.sync_until(lambda answer: [e for e in room_account_data(answer, room) if e["type"] == "m.tag" and "u.work" in e["content"]["tags"]])
    alice.delete(path + "/u.work")
    assert list(alice.get(path)["tags"]) == ["m.favourite"]


def test_the_default_push_rules_are_readable(alice):
    rules = alice.get("/pushrules/")["global"]
    assert [r["rule_id"] for r in rules["override"]][:2] == [".m.rule.master", ".m.rule.suppress_notices"]
    assert {"content", "override", "room", "sender", "underride"} <= set(rules)
    assert alice.get("/pushrules/global/")["override"] == rules["override"]
    one = alice.get("/pushrules/global/underride/.m.rule.message")
    assert one["default"] is True and one["enabled"] is True
    assert alice.get("/pushrules/global/underride/.m.rule.message/enabled") == {"enabled": True}
    assert refusal(alice.get, "/pushrules/global/override/.no.such").errcode == "M_NOT_FOUND"
    assert refusal(alice.get, "/pushrules/global/postcontent/.no.such").status == 404
    assert refusal(alice.get, "/pushrules/global/nokind/.no.such").errcode == "M_UNRECOGNIZED"
    sync = alice.sync()
    assert any(e["type"] == "m.push_rules" for e in sync["account_data"]["events"])


def test_what_is_not_there_is_unrecognized(alice):
    for method in ("GET", "POST", "PUT", "DELETE"):
        r = alice.raw(method, "/_matrix/client/v3/no/such/thing", {})
        assert (r.status_code, r.json()["errcode"]) == (404, "M_UNRECOGNIZED")
    r = alice.raw("PATCH", "/login", {})
    assert (r.status_code, r.json()["errcode"]) == (405, "M_UNRECOGNIZED")
