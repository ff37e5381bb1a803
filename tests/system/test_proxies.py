"""The maps of `hs routes --nginx` and `--haproxy` in the real programs, in front of workers of one role each."""

import os
import re
import subprocess

import pytest
import requests

from mx import Client, quote
from server import free_port, program, wait_for
from workers import Site

pytestmark = pytest.mark.skipif(
    any(subprocess.run(["which", p], capture_output=True).returncode for p in ("nginx", "haproxy")), reason="nginx and haproxy are not installed"
)


def generated(kind, bind, upstreams):
    options = [word for role, ports in upstreams.items() for word in ("--upstream", f"{role}=" + ",".join(f"127.0.0.1:{p}" for p in ports))]
    command = [program(), "routes", f"--{kind}", "--bind", bind, *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Nginx:
    def __init__(self, site, text):
        site.write("map.conf", text)
        d = os.path.join(site.dir, "nginx")
        os.makedirs(d, exist_ok=True)
        temp = "".join(f"{k}_temp_path {d}/{k};" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf = f"daemon off; pid {d}/pid; error_log {d}/error.log; worker_processes 1; events {{}}\nhttp {{ access_log off; {temp} include {site.dir}/map.conf; }}\n"
        self.command = ["nginx", "-c", site.write("nginx.conf", conf), "-p", d]

    def check(self):
        return subprocess.run([*self.command, "-t"], capture_output=True, text=True)


class HAProxy:
    def __init__(self, site, text):
        self.command = ["haproxy", "-f", site.write("haproxy.cfg", text)]

    def check(self):
        return subprocess.run([*self.command, "-c"], capture_output=True, text=True)


PORTS = ("client1", "client2", "federation1", "media1")


@pytest.fixture(scope="module")
def site(postgres, redis):
    s = Site(postgres, redis, name="proxy.test", config={"serve_server_wellknown": True})
    s.ports = {name: free_port() for name in PORTS}
    s.by_name = {name: s.role(re.sub(r"\d", "", name), name, port) for name, port in s.ports.items()}
    yield s
    s.close()


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def proxy(request, site):
    port = free_port()
    upstreams = {"client": [site.ports["client1"], site.ports["client2"]], "federation": [site.ports["federation1"]], "media": [site.ports["media1"]]}
    text = generated(request.param, f"127.0.0.1:{port}", upstreams)
    p = {"nginx": Nginx, "haproxy": HAProxy}[request.param](site, text)
    checked = p.check()
    assert checked.returncode == 0, checked.stdout + checked.stderr
    process = subprocess.Popen(p.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"

    def up():
        try:
            return requests.get(base + "/_matrix/client/versions", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    wait_for(up)
    yield base
    process.terminate()
    process.wait(20)


def test_each_path_reaches_a_worker_that_serves_it(proxy, site):
    c = Client(proxy).register(f"a{proxy[-5:]}")
    assert c.get("/account/whoami")["user_id"] == c.user_id
    room = c.create_room(preset="public_chat")
    assert c.event(room, c.text(room, "by proxy"))["content"]["body"] == "by proxy"
    assert c.get("/_matrix/key/v2/server", token=False)["server_name"] == "proxy.test"
    assert c.get("/_matrix/federation/v1/version", token=False)["server"]["name"] == "hs"
    assert c.get("/.well-known/matrix/server", token=False) == {"m.server": "proxy.test:443"}
    uri = c.call("POST", "/_matrix/media/v3/upload", data=b"x" * 300000, headers={"Content-Type": "text/plain"})["content_uri"]
    media = c.raw("GET", "/_matrix/client/v1/media/download/" + uri.removeprefix("mxc://"))
    assert media.status_code == 200 and media.content == b"x" * 300000


def test_the_admin_api_is_served_from_inside_only_and_metrics_not_at_all(proxy):
    assert Client(proxy).raw("GET", "/_synapse/admin/v1/register").status_code == 200  # this is inside
    assert Client(proxy).raw("GET", "/_synapse/metrics").status_code == 404


def test_what_comes_again_meets_the_same_worker(proxy, site):
    c = Client(proxy).register(f"b{proxy[-5:]}")
    room = c.create_room()

    def counts(text):
        return sorted(site.by_name[name].log().count(text) for name in ("client1", "client2"))

    marks = [f"/rooms/{quote(room)}/state/m.room.name", "/sync?timeout=0&filter=mark" + proxy[-5:]]
    for _ in range(10):
        c.raw("GET", f"/rooms/{quote(room)}/state/m.room.name")
        c.raw("GET", marks[1])
    for mark in marks:
        wait_for(lambda mark=mark: sum(counts(mark)) == 10)
        assert counts(mark) == [0, 10]


def test_a_dead_worker_is_not_missed(proxy, site):
    c = Client(proxy).register(f"c{proxy[-5:]}")
    room = c.create_room()
    site.by_name["client1"].kill()
    try:
        wait_for(lambda: all(c.raw("GET", "/account/whoami").status_code == 200 for _ in range(20)))
        for i in range(20):
            c.text(room, str(i))
    finally:
        site.by_name["client1"] = site.role("client", "client1", site.ports["client1"])


def test_a_wrong_upstream_is_one_clear_line():
    for wrong in ("cleint=1.2.3.4:5", "background=1.2.3.4:5", "client=", "client=1.2.3.4:5;evil"):
        done = subprocess.run([program(), "routes", "--nginx", "--upstream", wrong], capture_output=True, text=True)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith(f"hs: --upstream {wrong}: expected client, federation or media")
