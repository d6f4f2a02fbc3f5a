#!/usr/bin/python3
"""A TCP proxy that delays what passes through it, in each direction: two nodes on one machine as far apart as the delay
says. Usage: delay_proxy.py DELAY_MS LISTEN_PORT:TARGET_PORT ... (loopback); runs until it is killed."""
import asyncio
import sys

BUFFERED_MAX = 8 << 20 # bytes under way in one direction of one connection; then its sender waits


async def carry(reader, writer, delay):
    loop = asyncio.get_running_loop()
    queue, room, buffered = asyncio.Queue(), asyncio.Event(), 0
    room.set()

    async def deliver():
        nonlocal buffered
        while True:
            due, data = await queue.get()
            wait = due - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            if not data:
                break
            writer.write(data)
            await writer.drain()
            buffered -= len(data)
            room.set()
    delivering = asyncio.create_task(deliver())
    try:
        while True:
            data = await reader.read(1 << 18)
            queue.put_nowait((loop.time() + delay, data))
            if not data:
                break
            buffered += len(data)
            if buffered > BUFFERED_MAX:
                room.clear()
                await room.wait()
        await delivering
    except (ConnectionError, asyncio.CancelledError):
        delivering.cancel()
    finally:
        writer.close()


async def serve(delay, listen, target):
    async def accept(reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(carry(reader, far_writer, delay), carry(far_reader, writer, delay))
    server = await asyncio.start_server(accept, "127.0.0.1", listen)
    async with server:
        await server.serve_forever()


async def main():
    delay = float(sys.argv[1]) / 1000
    await asyncio.gather(*(serve(delay, *map(int, pair.split(":"))) for pair in sys.argv[2:]))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
