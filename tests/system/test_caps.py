"""What one user may keep: as much as fits, and one more."""

from concurrent.futures import ThreadPoolExecutor

from mx import Client, Refused, quote, refusal


def fill(client, n, call):
    """call(client, i) for all i < n, a few at a time."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda k: [call(k[0], i) for i in range(k[1], n, 4)], [(Client(client.base, client.token), s) for s in range(4)]))


# C17 types of account data, globally
def test_a_thousand_types_of_account_data(bob):
    path = f"/user/{bob.user_id}/account_data/"
    fill(bob, 1000, lambda c, i: c.put(f"{path}org.t{i}", {"n": i}))
    r = refusal(bob.put, f"{path}org.more", {"n": 1})
    assert (r.status, r.errcode) == (400, "M_UNKNOWN")
    assert refusal(bob.get, f"{path}org.more").status == 404
    bob.put(f"{path}org.t5", {"n": "new"})  # not one more
    assert bob.get(f"{path}org.t5") == {"n": "new"}


# C17 a value of account data
def test_account_data_has_64_kib_at_most(bob, room):
    for path in (f"/user/{bob.user_id}/account_data/org.t", f"/user/{bob.user_id}/rooms/{room}/account_data/org.t"):
        bob.put(path, {"x": "y" * 65000})
        r = refusal(bob.put, path, {"x": "y" * 66000})
        assert (r.status, r.errcode) == (413, "M_TOO_LARGE")
        assert len(bob.get(path)["x"]) == 65000


# C17 filters
def test_a_thousand_filters(bob):
    path = f"/user/{bob.user_id}/filter"
    fill(bob, 1000, lambda c, i: c.post(path, {"room": {"timeline": {"limit": i + 1}}}))
    r = refusal(bob.post, path, {"room": {"timeline": {"limit": 5000}}})
    assert (r.status, r.errcode) == (400, "M_UNKNOWN")
    known = bob.post(path, {"room": {"timeline": {"limit": 7}}})["filter_id"]  # there already
    assert bob.get(f"{path}/{known}") == {"room": {"timeline": {"limit": 7}}}
    assert refusal(bob.get, f"{path}/1000").status == 404


# C17 tags of a room
def test_a_hundred_tags(bob, room):
    path = f"/user/{bob.user_id}/rooms/{room}/tags"
    for i in range(100):
        bob.put(f"{path}/u.t{i}", {"order": 0.5})
    assert refusal(bob.put, f"{path}/u.more").status == 400
    bob.put(f"{path}/u.t3", {"order": 0.7})
    bob.delete(f"{path}/u.t4")
    bob.put(f"{path}/u.more")
    assert len(bob.get(path)["tags"]) == 100


def at_once(client, n, call):
    """call(client, i) for all i < n, eight at a time; gives what was refused."""

    def one(i):
        try:
            call(Client(client.base, client.token), i)
        except Refused as r:
            return r
        return None

    with ThreadPoolExecutor(8) as pool:
        return [r for r in pool.map(one, range(n)) if r]


# C17 aliases of a room, asked for by many at once
def test_a_thousand_aliases_and_no_more_whoever_adds_them(bob):
    room = bob.create_room()
    name = f"cap{bob.user_id[1:].split(':')[0]}"
    add = lambda c, i: c.put(f"/directory/room/{quote(f'#{name}x{i}:test')}", {"room_id": room})
    fill(bob, 990, add)
    refused = at_once(bob, 40, lambda c, i: add(c, 1000 + i))
    assert len(refused) == 30 and {(r.status, r.errcode) for r in refused} == {(400, "M_UNKNOWN")}
    assert len(bob.get(f"/rooms/{quote(room)}/aliases")["aliases"]) == 1000
    bob.delete(f"/directory/room/{quote(f'#{name}x3:test')}")
    add(bob, 2000)


# C17 the fields of a profile, set by many at once
def test_a_profile_has_64_kib_whoever_fills_it(bob):
    mine = f"/profile/{quote(bob.user_id)}"
    refused = at_once(bob, 32, lambda c, i: c.put(f"{mine}/org.f{i}", {f"org.f{i}": "x" * 4000}))
    assert len(refused) == 16 and {(r.status, r.errcode) for r in refused} == {(400, "M_PROFILE_TOO_LARGE")}
    whole = bob.get(mine)
    assert len([k for k in whole if k.startswith("org.f")]) == 16
