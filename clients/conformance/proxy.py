#!/usr/bin/python3
"""A TCP proxy that is told to fail: between a client and its server, for the scenarios of faults/ (README.md here).

Listens on a port of its own on 127.0.0.1, says which, and takes commands on its input. It ends with its input.
"""

import argparse
import asyncio
import os
import socket
import struct
import sys


class Pair:
    """One connection of a client, and the one to the server behind it."""

    def __init__(self, proxy, client):
        self.proxy = proxy
        self.client = client  # reader and writer
        self.server = None
        self.lost_something = False

    async def run(self):
        try:
            if self.proxy.black_hole:
                self.lost_something = True
                await self.client[0].read()  # until somebody gives up
                return
            self.server = await self.proxy.connect()
            await asyncio.wait(
                [
                    asyncio.create_task(self.pass_on(self.client[0], self.server[1], to_client=False)),
                    asyncio.create_task(self.pass_on(self.server[0], self.client[1], to_client=True)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        except OSError:
            pass
        finally:
            self.reset()

    async def pass_on(self, reader, writer, to_client):
        try:
            while True:
                rate = self.proxy.bytes_per_second if to_client else None
                data = await reader.read(max(1, rate // 10) if rate else 65536)
                if not data:
                    return
                if self.proxy.black_hole:
                    self.lost_something = True
                    continue
                writer.write(data)
                await writer.drain()
                if rate:
                    await asyncio.sleep(len(data) / rate)
        except OSError:
            pass

    def reset(self):
        """Ends both connections at once, the client's with a reset instead of an orderly end."""
        for _, writer in filter(None, (self.client, self.server)):
            connection = writer.get_extra_info("socket")
            if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6) and connection.fileno() >= 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """All pairs, and what is wrong at present."""

    def __init__(self, host, port):
        self.host = host
        self.port = port
        self.pairs = set()
        self.black_hole = False
        self.refusing = False
        self.bytes_per_second = None

    async def connect(self):
        if self.host.startswith("/"):
            return await asyncio.open_unix_connection(os.path.join(self.host, f".s.PGSQL.{self.port}"))
        return await asyncio.open_connection(self.host, self.port)

    async def serve(self, reader, writer):
        pair = Pair(self, (reader, writer))
        if self.refusing:
            pair.reset()
            return
        # A small buffer, so that a slow reader is one for the server too.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        self.pairs.add(pair)
        try:
            await pair.run()
        finally:
            self.pairs.discard(pair)

    def obey(self, command, *arguments):
        if command == "drop":
            for pair in list(self.pairs):
                pair.reset()
        elif command == "black_hole":
            self.black_hole = True
        elif command == "refuse":
            self.refusing = True
        elif command == "slow":
            self.bytes_per_second = int(arguments[0])
        elif command == "heal":
            self.black_hole = self.refusing = False
            self.bytes_per_second = None
            for pair in list(self.pairs):
                if pair.lost_something:
                    pair.reset()
        else:
            raise ValueError(f"no such command: {command}")


async def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--host", default=os.environ.get("PGHOST", "localhost"))
    arguments.add_argument("--port", type=int, default=int(os.environ.get("PGPORT", "5432")))
    arguments = arguments.parse_args()
    proxy = Proxy(arguments.host, arguments.port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := (await lines.readline()).decode().split():
        proxy.obey(*line)
        print("ok", flush=True)
    # Whatever still runs ends with the process.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
