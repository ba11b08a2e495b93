"""peer_websockets.py PORT N - openpi's client against the server at PORT and against a Python `websockets` server that does the same.

The Python server is what openpi's is without a policy: one asyncio loop, msgpack-numpy, the same answer. Both are asked by the same client
process in turns of 50, so that a busy machine is busy for both.
"""

import asyncio
import multiprocessing
import sys
import time

import numpy as np
from openpi_client import msgpack_numpy
from openpi_client.websocket_client_policy import WebsocketClientPolicy

TURN = 50


def serve(ready):
    from websockets.asyncio.server import serve as ws_serve

    actions = np.tile(np.arange(32) / 100.0, (50, 1))

    async def handler(ws):
        packer = msgpack_numpy.Packer()
        await ws.send(packer.pack({}))
        async for message in ws:
            obs = msgpack_numpy.unpackb(message)
            assert obs["images"]["front"].shape == (224, 224, 3)
            await ws.send(packer.pack({"actions": actions, "policy_timing": {"infer_ms": 0.0}, "server_timing": {"infer_ms": 0.0}}))

    async def main():
        async with ws_serve(handler, "127.0.0.1", 0, compression=None, max_size=None) as s:
            ready.put(s.sockets[0].getsockname()[1])
            await asyncio.Future()

    asyncio.run(main())


def turn(client, obs, n):
    out = []
    for _ in range(n):
        t = time.perf_counter()
        client.infer(obs)
        out.append(1e3 * (time.perf_counter() - t))
    return out


def main():
    port, n = int(sys.argv[1]), int(sys.argv[2])
    ready = multiprocessing.Queue()
    peer = multiprocessing.Process(target=serve, args=(ready,), daemon=True)
    peer.start()
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
    obs = {"images": {"front": picture, "wrist": picture}, "state": np.zeros(8), "prompt": "go"}
    clients = {"openpi-client, our server": WebsocketClientPolicy("127.0.0.1", port), "openpi-client, Python websockets server": WebsocketClientPolicy("127.0.0.1", ready.get())}
    times = {k: [] for k in clients}
    for c in clients.values():
        turn(c, obs, TURN)
    while len(times["openpi-client, our server"]) < n:
        for k, c in clients.items():
            times[k] += turn(c, obs, TURN)
    for k, t in times.items():
        print(f"{k:36s} p50 {np.percentile(t, 50):.3f} ms  p99 {np.percentile(t, 99):.3f} ms  (n = {len(t)})")
    packer = msgpack_numpy.Packer()
    t = time.perf_counter()
    for _ in range(TURN):
        packer.pack(obs)
    print(f"{'of which the client packs':36s} {1e3 * (time.perf_counter() - t) / TURN:.3f} ms")
    peer.terminate()


if __name__ == "__main__":
    main()
