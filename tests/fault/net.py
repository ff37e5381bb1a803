"""Requests that survive faults: repeated at the next worker until there is an answer that means something."""

import asyncio
import collections
import dataclasses
import itertools
import json
import time
import urllib.parse

import aiohttp

TROUBLE = (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError)
GIVE_UP = 180  # seconds without an answer: that is no fault of ours any more


def quote(s):
    return urllib.parse.quote(s, safe="")


class Failed(ValueError):
    """A status that a client waits out."""

    def __init__(self, status, body):
        super().__init__(f"{status} {body.get('error')}")


@dataclasses.dataclass
class Answer:
    status: int
    body: dict
    worker: int
    unsure: bool  # an earlier try got no answer: it may have had its effect, or may still have it
    begun: float
    ended: float

    @property
    def ok(self):
        return self.status == 200

    @property
    def error(self):
        return f"{self.status} {self.body.get('errcode')}: {self.body.get('error')}"


class Net:
    """All clients' requests; workers are taken in turn, whoever asks."""

    def __init__(self, ports, rnd):
        self.bases = [f"http://127.0.0.1:{p}" for p in ports]
        self.rnd = rnd
        self.turn = itertools.count()
        self.requests = 0
        self.trouble = collections.Counter()  # what came instead of an answer
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=20)
        self.http = aiohttp.ClientSession(connector=connector)
        # aiohttp would send a PUT or DELETE again by itself: then nobody would know that it was sent twice.
        self.http._retry_connection = False

    async def close(self):
        await self.http.close()

    def next_worker(self, avoid=None):
        n = len(self.bases)
        i = next(self.turn) % n
        return (i + 1) % n if i == avoid and n > 1 else i

    def note(self, why):
        self.trouble[why.args[0] if isinstance(why, Failed) else type(why).__name__] += 1

    async def once(self, worker, method, path, token=None, body=None, query=None, timeout=30.0):
        """(status, body); raises one of TROUBLE."""
        self.requests += 1
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = self.bases[worker] + "/_matrix/client/v3" + path
        async with self.http.request(
            method, url, headers=headers, json=body, params=query, timeout=aiohttp.ClientTimeout(total=timeout)
        ) as r:
            data = await r.read()
            answer = json.loads(data) if data else {}
            return r.status, answer

    async def sure(self, method, path, token=None, body=None, query=None, avoid=None, only=None):
        """Tries until somebody says yes or no; `avoid`: a worker not to ask, if there are others."""
        begun = time.monotonic()
        unsure = False
        while True:
            worker = only if only is not None else self.next_worker(avoid)
            # Somebody impatient now and then, who goes to another worker while the first one still works on it.
            patience = 6.0 if self.rnd.random() < 0.3 and only is None else 40.0
            try:
                status, answer = await self.once(worker, method, path, token, body, query, patience)
                if status != 429 and status < 500:
                    return Answer(status, answer, worker, unsure, begun, time.monotonic())
                why = Failed(status, answer)
            except TROUBLE as e:
                why = e
            unsure = True
            self.note(why)
            if time.monotonic() - begun > GIVE_UP:
                raise RuntimeError(f"{method} {path}: no answer within {GIVE_UP} s, at last {why!r}")
            await asyncio.sleep(self.rnd.uniform(0.05, 0.3))  # a client's back-off
