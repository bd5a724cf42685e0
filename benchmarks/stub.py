"""An HTTP server in a process of its own that answers every Prometheus query with 1: a backend that costs little.

python -m benchmarks.stub        # prints its address, ends when its standard input closes
"""

import asyncio
import time
from typing import cast

BODY = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[%10d,"1"]}]}}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class Stub(asyncio.Protocol):
    """Reads requests by their Content-Length and answers each; keeps the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.buffer = cast(asyncio.Transport, transport), b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            body = BODY % int(time.time())
            self.transport.write(ANSWER % (len(body), body))


async def main() -> None:
    from examples.lifeline import starter_gone

    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await starter_gone()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
