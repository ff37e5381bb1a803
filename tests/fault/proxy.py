"""A TCP proxy that breaks connections: between the clients of a fault program and one worker."""

import asyncio
import contextlib
import socket
import struct


class _Side(asyncio.Protocol):
    """One of the two ends of a connection through the proxy."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.transport = None
        self.peer = None
        self.early = []  # what came before there was a peer

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.proxy.draw():
            self.reset()
        elif self.peer is None:
            self.early.append(data)
        elif not self.peer.transport.is_closing():
            self.peer.transport.write(data)

    def reset(self):
        """An RST to both ends, whatever was on its way."""
        self.proxy.resets += 1
        for side in (self, self.peer):
            if side and side.transport and not side.transport.is_closing():
                sock = side.transport.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                side.transport.abort()

    def eof_received(self):
        return False

    def connection_lost(self, why):
        self.proxy.live.discard(self)
        if self.peer and not self.peer.transport.is_closing():
            if why:
                self.peer.transport.abort()
            else:
                self.peer.transport.close()

    def pause_writing(self):
        if self.peer:
            self.peer.transport.pause_reading()

    def resume_writing(self):
        if self.peer and not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()


class _Client(_Side):
    def connection_made(self, transport):
        super().connection_made(transport)
        self.proxy.live.add(self)
        self.connecting = asyncio.ensure_future(self.connect())

    async def connect(self):
        try:
            _, peer = await asyncio.get_running_loop().create_connection(lambda: _Side(self.proxy), "127.0.0.1", self.proxy.target)
        except OSError:
            self.transport.abort()
            return
        if self.transport.is_closing():
            peer.transport.close()
            return
        self.peer, peer.peer = peer, self
        for data in self.early:
            peer.transport.write(data)
        self.early = []


class Proxy:
    def __init__(self, target, rnd):
        self.target = target
        self.rnd = rnd
        self.chance = 0.0  # that a piece of data meets a reset instead
        self.live = set()
        self.resets = 0
        self.port = None

    async def start(self):
        self.server = await asyncio.get_running_loop().create_server(lambda: _Client(self), "127.0.0.1", 0, backlog=1000)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    def draw(self):
        return self.chance > 0 and self.rnd.random() < self.chance

    def reset_some(self, share):
        """Breaks that share of all connections at once."""
        for side in list(self.live):
            if self.rnd.random() < share:
                side.reset()

    def close(self):
        self.server.close()
        for side in list(self.live):
            side.transport.abort()
