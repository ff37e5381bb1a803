"""Listeners of every kind, certificates, and what SIGHUP reads anew."""

import os
import signal
import socket
import ssl
import subprocess

import pytest
import requests

from mx import Client
from server import OneProcess, free_port, wait_for


def certificate(directory, name):
    key, cert = os.path.join(directory, "tls.key"), os.path.join(directory, "tls.crt")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-keyout", key + ".new", "-out", cert + ".new"],
        check=True, capture_output=True,
    )
    for path in (key, cert):
        os.chmod(path + ".new", 0o644)
        os.replace(path + ".new", path)
    return cert, key


@pytest.fixture
def own():
    s = OneProcess(name="listen.test")
    yield s
    s.close()


def resources(*names):
    return [{"names": list(names)}]


def test_a_unix_socket_serves(own):
    path = os.path.join(own.dir, "http.sock")
    own.config["listeners"].append({"path": path, "mode": 0o666, "type": "http", "resources": resources("client")})
    own.start()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(b"GET /_matrix/client/versions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: s.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200") and b'"versions"' in answer


def test_metrics_have_a_listener_of_their_own(own):
    port = free_port()
    own.config["listeners"].append({"port": port, "type": "metrics", "bind_addresses": ["127.0.0.1"]})
    own.config["enable_metrics"] = True
    own.start()
    text = requests.get(f"http://127.0.0.1:{port}/_synapse/metrics", timeout=10).text
    assert "process_cpu_seconds_total" in text
    assert requests.get(f"http://127.0.0.1:{port}/_matrix/client/versions", timeout=10).status_code == 404


def served_certificate(port):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw, context.wrap_socket(raw) as s:
        return s.getpeercert(binary_form=True), s.version()


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_tls_serves_and_a_new_certificate_is_taken_on_sighup(own):
    port = free_port()
    cert, key = certificate(own.dir, "first")
    own.config["tls_certificate_path"], own.config["tls_private_key_path"] = cert, key
    own.config["listeners"].append(
        {"port": port, "type": "http", "tls": True, "bind_addresses": ["127.0.0.1"], "resources": resources("client")}
    )
    own.start()
    first, version = served_certificate(port)
    assert version in ("TLSv1.2", "TLSv1.3")
    answer = requests.get(f"https://127.0.0.1:{port}/_matrix/client/versions", verify=False, timeout=10)
    assert answer.json()["versions"]
    certificate(own.dir, "second")
    own.process.send_signal(signal.SIGHUP)
    wait_for(lambda: served_certificate(port)[0] != first, 10)


def test_the_address_behind_a_proxy_is_believed_only_where_allowed(own):
    port = free_port()
    own.config["listeners"].append(
        {"port": port, "type": "http", "x_forwarded": False, "bind_addresses": ["127.0.0.1"], "resources": resources("client")}
    )
    own.start()
    for base in (own.base, f"http://127.0.0.1:{port}"):
        Client(base).raw("GET", "/login", headers={"X-Forwarded-For": "203.0.113.9"})
    wait_for(lambda: own.log().count("/login") >= 2, 10)
    assert own.log().count("203.0.113.9") == 1


def test_a_missing_certificate_is_one_clear_line(own):
    own.config["tls_certificate_path"] = own.config["tls_private_key_path"] = "/nowhere/at/all.pem"
    own.config["listeners"][0]["tls"] = True
    own.start(wait=False)
    assert own.process.wait(60) != 0
    assert "/nowhere/at/all.pem" in own.log()
