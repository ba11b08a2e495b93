"""clients.py PORT KEY_PORT - the real openpi-client and vla-eval client against the server of test_clients.c (tools/client_venv.sh).

Fakes answer: action [i][k] = state[k % 5] + i / 100 + sum of first pixels / 1000. Prints "ok NAME" for each check; an exception fails.
"""

import asyncio
import concurrent.futures
import json
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import websockets
import websockets.sync.client
from openpi_client import msgpack_numpy
from openpi_client.websocket_client_policy import WebsocketClientPolicy
from vla_eval.connection import Connection
from vla_eval.protocol import numpy_codec

port, key_port = int(sys.argv[1]), int(sys.argv[2])
here = f"ws://127.0.0.1:{port}"
rng = np.random.default_rng(1)


def picture(h, w, first, chw=False):
    x = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
    x[0, 0, 0] = first
    return np.ascontiguousarray(x.transpose(2, 0, 1)) if chw else x


def check(actions, state, pixels, rows=16):
    assert actions.dtype == np.float64 and actions.shape[0] == rows, (actions.dtype, actions.shape)
    k = np.arange(actions.shape[1]) % 5
    want = np.asarray(state, np.float64)[k][None] + np.arange(rows)[:, None] / 100 + pixels / 1000
    assert np.abs(actions - want).max() < 1e-4, (actions[0], want[0])


def aloha():
    state = np.linspace(-1, 1, 14)
    images = {c: picture(60, 80, 10 + i, chw=True) for i, c in enumerate(["cam_high", "cam_low", "cam_left_wrist", "cam_right_wrist"])}
    return {"state": state, "images": images, "prompt": "do something"}, state, 10 + 11 + 12 + 13


def droid():
    joints, gripper = np.linspace(0, 1, 7), np.array([0.5])
    return (
        {
            "observation/exterior_image_1_left": picture(224, 224, 7),
            "observation/wrist_image_left": picture(224, 224, 8),
            "observation/joint_position": joints,
            "observation/gripper_position": gripper,
            "prompt": b"bytes are fine",
        },
        np.concatenate([joints, gripper]),
        15,
    )


def libero():
    state = np.linspace(2, 3, 8).astype(np.float32)
    return (
        {
            "observation/state": state,
            "observation/image": picture(224, 224, 1),
            "observation/wrist_image": picture(100, 200, 2),
            "prompt": "put the bowl on the plate",
        },
        state,
        3,
    )


def openpi(path):
    return WebsocketClientPolicy(here + path)


def openpi_metadata_and_all_environments():
    c = WebsocketClientPolicy("127.0.0.1", port)
    meta = c.get_server_metadata()
    assert meta["server"] == "flywheel" and meta["models"] == ["plain", "aloha", "droid", "libero", "big", "slow"], meta
    for name, make in (("aloha", aloha), ("droid", droid), ("libero", libero)):
        c = openpi("/" + name)
        for _ in range(3):
            obs, state, pixels = make()
            reply = c.infer(obs)
            check(reply["actions"], state, pixels)
            assert list(reply)[:3] == ["actions", "policy_timing", "server_timing"], list(reply)
            assert reply["policy_timing"]["infer_ms"] >= 0
        assert reply["server_timing"]["prev_total_ms"] > 0
        c.reset()


def numpy_types_and_layouts_are_all_read():
    c = openpi("/plain")
    state = np.arange(6)
    for dtype in ("i4", "i8", "f2", "f4", ">f8", "u1"):
        check(c.infer({"images": {"front": picture(9, 7, 3), "wrist": picture(9, 7, 4)}, "state": state.astype(dtype), "prompt": "x"})["actions"], state, 7)
    floats = picture(9, 7, 51).astype(np.float32) / 255 + 1e-4
    check(c.infer({"images": {"front": floats, "wrist": np.zeros((3, 5, 4), np.float64)}, "state": list(state), "prompt": np.str_("x")})["actions"], state, 51)
    nested = {"observation": {"images": {"front": picture(9, 7, 3), "wrist": picture(9, 7, 4)}, "state": state}, "prompt": "x"}
    check(c.infer(nested)["actions"], state, 7)


def a_wrong_key_is_an_error_and_the_end_of_the_connection():
    c = openpi("/plain")
    try:
        c.infer({"images": {"front": picture(9, 7, 3), "wrist": picture(9, 7, 4)}, "stat": np.zeros(6), "prompt": "x"})
        raise AssertionError("no error")
    except RuntimeError as e:
        assert str(e).startswith("Error in inference server:\nSHAPE: no 'state'"), e
    try:
        c.infer({})
        raise AssertionError("still open")
    except websockets.exceptions.ConnectionClosed as e:
        assert e.rcvd.code == 1011, e
        assert e.rcvd.reason == "Internal server error. Traceback included in previous frame.", e


def large_observations_and_large_answers():
    c = openpi("/plain")
    obs = {"images": {"front": picture(2650, 2650, 3), "wrist": picture(9, 7, 4)}, "state": np.arange(6), "prompt": "x"}  # 21 MB
    check(c.infer(obs)["actions"], np.arange(6), 7)
    c = openpi("/big")
    actions = c.infer({"images": {"front": picture(9, 7, 3)}, "state": np.arange(6), "prompt": "x"})["actions"]
    assert actions.nbytes > 1 << 20
    check(actions, np.arange(6), 3, rows=5000)


def pings_are_answered_during_an_inference():
    with websockets.sync.client.connect(here + "/slow", compression=None, max_size=None) as ws:
        ws.recv()
        ws.send(msgpack_numpy.packb({"images": {"front": picture(9, 7, 3)}, "state": np.arange(6), "prompt": "x"}))
        late = []
        for _ in range(5):
            t = time.monotonic()
            assert ws.ping().wait(2), "no pong"
            late.append(time.monotonic() - t)
            time.sleep(0.4)
        check(msgpack_numpy.unpackb(ws.recv())["actions"], np.arange(6), 3)
        print(f"   pongs during a 3 s inference after {1e3 * max(late):.1f} ms at most")


def two_clients_at_once():
    clients = [openpi("/plain") for _ in range(2)]

    def ask(i):
        for n in range(20):
            state = np.arange(6) + i + n
            check(clients[i].infer({"images": {"front": picture(9, 7, 3), "wrist": picture(9, 7, i)}, "state": state, "prompt": "x"})["actions"], state, 3 + i)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(ask, range(2)))


def keys_are_asked_for():
    c = WebsocketClientPolicy("127.0.0.1", key_port, api_key="a-key-of-many-letters")
    obs, state, pixels = droid()
    check(c.infer(obs)["actions"], state, pixels)
    try:
        WebsocketClientPolicy("127.0.0.1", key_port, api_key="a-key-of-many-letter")
        raise AssertionError("let in")
    except websockets.exceptions.InvalidStatus as e:
        assert e.response.status_code == 401 and b"Api-Key" in e.response.body, e


def page(path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def pages_of_both():
    assert page("/healthz") == (200, "OK\n")
    assert json.loads(page("/health")[1]) == {"status": "ok"}
    assert json.loads(page("/config")[1])["config"]["max_batch_size"] == 1
    assert json.loads(page("/config?max_batch_size=2")[1]) == {"applied": {"max_batch_size": 2}, "config": {"max_batch_size": 2, "max_wait_time": 0.0}}
    assert page("/config?x=2")[0] == 422 and page("/config?max_batch_size=1")[0] == 200
    assert "flywheel_requests_total" in page("/metrics")[1]


async def vla_eval_episode():
    async with Connection(here, timeout=10) as conn:
        info = conn.server_info
        assert info["protocol_version"] == 1 and info["model_server"] == "plain", info
        assert info["observation_params"] == {"send_state": True, "send_wrist_image": True}, info
        for fmt in ("png", "jpeg", "raw"):
            numpy_codec.set_image_format(fmt)
            await conn.start_episode({"task": {"name": "t"}})
            for step in range(7):  # 3 rows of a chunk are executed
                flat = np.full((48, 64, 3), 40, np.uint8)
                obs = {"images": {"front": flat, "wrist": flat}, "states": np.arange(6) + step, "task_description": "x"}
                action = await conn.act(obs)
                a = action["actions"]
                assert a.shape == (5,) and a.dtype == np.float32, a
                want = np.arange(5) + step // 3 * 3 + step % 3 / 100 + 0.08
                assert np.abs(a - want).max() < (0.005 if fmt == "jpeg" else 1e-4), (fmt, step, a, want)
            await conn.end_episode({"metrics": {"success": True}})


async def vla_eval_errors_leave_the_connection_open():
    numpy_codec.set_image_format("png")
    async with Connection(here + "/vla-eval/plain", timeout=10) as conn:
        await conn.start_episode({})
        good = {"images": {"front": picture(9, 7, 3), "wrist": picture(9, 7, 4)}, "state": np.arange(6), "task_description": "x"}
        for bad, words in (({**good, "state": np.arange(5)}, "state: 5 numbers, wanted 6"), ({**good, "images": {}}, "no picture of camera 'front'"), ({**good, "task_description": 3}, "not a text")):
            try:
                await conn.act(bad)
                raise AssertionError("no error")
            except RuntimeError as e:
                assert words in str(e) and "observation_failed" in str(e), e
        assert (await conn.act(good))["actions"].shape == (5,)
    try:
        async with Connection(here + "/nobody", timeout=10, max_retries=1):
            raise AssertionError("let in")
    except ConnectionError as e:
        assert e.__cause__.response.status_code == 404 and b"/plain /aloha" in e.__cause__.response.body


for test in (
    openpi_metadata_and_all_environments,
    numpy_types_and_layouts_are_all_read,
    a_wrong_key_is_an_error_and_the_end_of_the_connection,
    large_observations_and_large_answers,
    pings_are_answered_during_an_inference,
    two_clients_at_once,
    keys_are_asked_for,
    pages_of_both,
    vla_eval_episode,
    vla_eval_errors_leave_the_connection_open,
):
    result = test()
    if asyncio.iscoroutine(result):
        asyncio.run(result)
    print("ok", test.__name__, flush=True)
