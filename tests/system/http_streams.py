"""Bodies that are taken as they arrive, and answers from files: python3 http_streams.py path/to/http_echo"""

import os
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

import http_engine
from http_engine import SANITIZED, Server, eventually, get, is_closed, read_answer

MIB = 1 << 20
# What a worker may grow by while 100 MB pass through it: socket buffers, which the kernel makes as large as 6 MiB, twice.
GROWTH = 32 * MIB


def peak(server):
    with open(f"/proc/{server.p.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) * 1024


def head(n, target="/sink", extra=""):
    return f"POST {target} HTTP/1.1\r\nHost: the.host\r\nX-Test: t\r\nContent-Length: {n}\r\n{extra}\r\n".encode()


class Bodies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--tcp", "127.0.0.1:0", "--quiet")

    @classmethod
    def tearDownClass(cls):
        status, text = cls.server.stop()
        assert status == 0, text

    def setUp(self):
        self.s = self.server.connect()
        self.addCleanup(self.s.close)

    def sink(self, body, *cuts, target="/sink", extra=""):
        raw = head(len(body), target, extra) + body
        for a, b in zip((0,) + cuts, cuts + (len(raw),)):
            self.s.sendall(raw[a:b])
            if cuts:
                time.sleep(0.02)  # so that the pieces are read one by one
        return read_answer(self.s)

    def check(self, a, body):
        self.assertEqual(a.status, 200)
        self.assertEqual((a.json["announced"], a.json["got"], a.json["sum"]), (len(body), len(body), sum(body) % 2**32))

    def test_bodies_of_all_sizes_arrive_whole_on_one_connection(self):
        for n in (0, 1, 65_535, 65_536, 65_537, 200_000, 3_000_000, 1):
            body = os.urandom(n)
            with self.subTest(n):
                self.check(self.sink(body), body)

    def test_the_head_may_come_in_pieces(self):
        body = os.urandom(100_000)
        n = len(head(len(body)))
        for cut in (1, 3, 20, n - 3, n - 1, n, n + 1):
            with self.subTest(cut):
                a = self.sink(body, cut)
                self.check(a, body)
                self.assertEqual((a.json["x_test"], a.json["host"], a.json["target"]), ("t", "the.host", "/sink"))

    def test_a_request_behind_a_body_is_served(self):
        body = os.urandom(100_000)
        self.s.sendall(head(len(body)) + body + b"GET /echo?a=b HTTP/1.1\r\nHost: x\r\n\r\n")
        a = read_answer(self.s)
        self.check(a, body)
        rest = a.rest
        while b'"a":"b"' not in rest:
            rest += self.s.recv(65536)

    def test_100_mb_pass_through_bounded_memory(self):
        block = os.urandom(MIB)
        before = peak(self.server)
        self.s.sendall(head(100 * MIB))
        for _ in range(100):
            self.s.sendall(block)
        a = read_answer(self.s)
        self.assertEqual((a.json["got"], a.json["sum"]), (100 * MIB, sum(block) * 100 % 2**32))
        print(f"\n100 MiB up: peak grew by {(peak(self.server) - before) / MIB:.1f} MiB", file=sys.stderr)
        self.assertLess(peak(self.server) - before, GROWTH)

    def test_a_slow_handler_holds_the_sender_back(self):
        self.s.sendall(head(10**12, "/sink?slow=200"))
        self.s.settimeout(0.15)
        sent, block = 0, b"x" * MIB
        with self.assertRaises(TimeoutError):
            while sent < 500 * MIB:
                sent += self.s.send(block)
        self.assertLess(sent, 100 * MIB)

    def test_who_is_refused_gets_the_answer_though_the_body_was_sent(self):
        self.s.sendall(head(5 * MIB, "/sink?refuse") + b"x" * (5 * MIB))
        a = read_answer(self.s)
        self.assertEqual((a.status, a.json["errcode"], a.headers["connection"]), (413, "M_TOO_LARGE", "close"))
        self.assertTrue(is_closed(self.s))

    def test_who_is_refused_before_the_body_hears_it_at_once(self):
        self.s.sendall(head(10**12, "/sink?refuse", "Expect: 100-continue\r\n"))
        self.assertEqual(read_answer(self.s).status, 413)
        self.assertTrue(is_closed(self.s))

    def test_a_handler_may_stop_in_the_middle(self):
        a = self.sink(os.urandom(3 * MIB), target="/sink?stop=1")
        self.assertEqual(a.status, 200)
        self.assertTrue(is_closed(self.s))

    def test_100_continue_is_sent_once_the_body_is_wanted(self):
        body = os.urandom(100_000)
        self.s.sendall(head(len(body), extra="Expect: 100-continue\r\n"))
        self.assertEqual(read_answer(self.s).status, 100)
        self.s.sendall(body)
        self.check(read_answer(self.s), body)

    def test_a_client_that_leaves_in_the_middle_ends_its_request(self):
        before = get(self.server, "/metrics").body.decode().count('code="499"')
        for _ in range(5):
            with self.server.connect() as s:
                s.sendall(head(MIB) + b"x" * 100_000)
                time.sleep(0.02)
        self.assertTrue(eventually(lambda: 'code="499"' in get(self.server, "/metrics").body.decode()))
        self.assertEqual(before, 0)

    def test_a_chunked_body_has_no_length(self):
        self.s.sendall(b"POST /sink HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        a = read_answer(self.s)
        self.assertEqual((a.json["announced"], a.json["got"]), (-1, 3))

    def test_bad_framing_of_a_large_body_is_refused(self):
        for extra in ("Content-Length: 100000\r\n", "Transfer-Encoding: chunked\r\n", "Bad : x\r\n"):
            with self.subTest(extra), self.server.connect() as s:
                s.sendall(head(100_000, extra=extra) + b"x" * 100_000)
                a = read_answer(s)
                self.assertEqual(a.status, 400)
                self.assertTrue(is_closed(s))

    def test_many_at_once(self):
        body = os.urandom(300_000)
        many = [self.server.connect() for _ in range(50)]
        for s in many:
            s.sendall(head(len(body)) + body[:150_000])
        for s in many:
            s.sendall(body[150_000:])
        for s in many:
            self.check(read_answer(s), body)
            s.close()


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--tcp", "127.0.0.1:0", "--quiet")
        cls.dir = tempfile.TemporaryDirectory()
        cls.path = cls.dir.name + "/file"
        cls.block = os.urandom(MIB)
        with open(cls.path, "wb") as f:
            for _ in range(100):
                f.write(cls.block)

    @classmethod
    def tearDownClass(cls):
        status, text = cls.server.stop()
        cls.dir.cleanup()
        assert status == 0, text

    def ask(self, s, at, n, more="", method="GET"):
        s.sendall(f"{method} /file?path={self.path}&at={at}&n={n}{more} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return read_answer(s, head_only=method == "HEAD")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.server.p.pid}/fd"))

    def test_parts_of_a_file_arrive_whole_on_one_connection(self):
        with self.server.connect() as s:
            for at, n in ((0, 0), (0, 1), (5, 1000), (MIB - 1, 2), (0, 131_072), (0, 131_073), (7, 3 * MIB), (100 * MIB - 5, 5)):
                with self.subTest((at, n)):
                    a = self.ask(s, at, n)
                    want = (self.block * (n // MIB + 2))[at % MIB : at % MIB + n]
                    self.assertTrue(a.body == want)
        self.assertTrue(eventually(lambda: self.descriptors() <= 16))

    def test_what_is_not_in_the_page_cache_is_read_too(self):
        fd = os.open(self.path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        with self.server.connect() as s:
            self.assertTrue(self.ask(s, 50 * MIB, 10 * MIB).body == self.block * 10)

    def test_head_has_the_length_only(self):
        with self.server.connect() as s:
            a = self.ask(s, 0, 1000, method="HEAD")
            self.assertEqual((a.status, a.headers["content-length"]), (200, "1000"))
            self.assertEqual(len(self.ask(s, 0, 10).body), 10)

    def test_100_mb_pass_through_bounded_memory(self):
        before = peak(self.server)
        with self.server.connect() as s:
            s.sendall(f"GET /file?path={self.path}&n={100 * MIB} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            got = 0
            while got < 100 * MIB:
                got += len(s.recv(MIB))
        print(f"\n100 MiB down: peak grew by {(peak(self.server) - before) / MIB:.1f} MiB", file=sys.stderr)
        self.assertLess(peak(self.server) - before, GROWTH)

    def test_a_file_that_is_too_short_cuts_the_connection(self):
        with self.server.connect() as s:
            with self.assertRaises(AssertionError):
                self.ask(s, 99 * MIB, 2 * MIB)

    def test_a_client_that_leaves_costs_nothing(self):
        before = self.descriptors()
        for _ in range(20):
            with self.server.connect() as s:
                s.sendall(f"GET /file?path={self.path}&n={100 * MIB} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                s.recv(1000)
        self.assertTrue(eventually(lambda: self.descriptors() <= before))

    def test_an_error_after_the_file_was_opened_closes_it(self):
        before = self.descriptors()
        for _ in range(20):
            a = get(self.server, f"/file?path={self.path}&n=100&fail")
            self.assertEqual((a.status, a.json["errcode"]), (403, "M_FORBIDDEN"))
        self.assertTrue(eventually(lambda: self.descriptors() <= before))


class Tls(unittest.TestCase):
    def test_bodies_and_files_over_tls(self):
        with tempfile.TemporaryDirectory() as d:
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-subj", "/CN=x", "-keyout", f"{d}/key.pem", "-out", f"{d}/cert.pem"],
                check=True, capture_output=True,
            )
            body = os.urandom(5_000_000)
            with open(f"{d}/file", "wb") as f:
                f.write(body)
            server = Server("--tls", "127.0.0.1:0", f"{d}/cert.pem", f"{d}/key.pem", "--quiet")
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            for _ in range(20):
                # The head and some of the body reach the server in the same segment as the end of the handshake.
                incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
                with server.connect("tls") as raw:
                    s = context.wrap_bio(incoming, outgoing)
                    while True:
                        try:
                            s.do_handshake()
                            break
                        except ssl.SSLWantReadError:
                            raw.sendall(outgoing.read())
                            incoming.write(raw.recv(65536))
                    s.write(head(len(body)) + body[:1000])
                    raw.sendall(outgoing.read())
                    for at in range(1000, len(body), 100_000):
                        s.write(body[at : at + 100_000])
                        raw.sendall(outgoing.read())
                    answer = b""
                    while b'"sum"' not in answer:
                        try:
                            answer += s.read(65536)
                        except ssl.SSLWantReadError:
                            incoming.write(raw.recv(65536))
                    self.assertIn(f'"got":{len(body)},"sum":{sum(body) % 2**32}'.encode(), answer)
            with context.wrap_socket(server.connect("tls")) as s:
                for _ in range(2):
                    s.sendall(f"GET /file?path={d}/file&n={len(body)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    self.assertTrue(read_answer(s).body == body)
                    s.sendall(head(len(body)) + body)
                    self.assertEqual(read_answer(s).json["got"], len(body))
            self.assertEqual(server.stop()[0], 0)


class Ending(unittest.TestCase):
    def test_a_close_does_not_wait_for_a_body_that_does_not_come(self):
        server = Server("--tcp", "127.0.0.1:0", "--quiet")
        with server.connect() as s:
            s.sendall(head(MIB) + b"x" * 100_000)
            time.sleep(0.1)
            began = time.monotonic()
            self.assertEqual(server.stop()[0], 0)
            self.assertLess(time.monotonic() - began, 10)


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        http_engine.PROGRAM = sys.argv.pop(1)
    unittest.main()
