#!/usr/bin/env python3
"""Open tiny datasets with the reference library (LeRobot) and keep hashes of all that it reads, for tests/data/test_golden.c.

    tools/golden_venv.sh
    FW_GOLDEN_MAKE=$PWD/tests/golden/lerobot build/dev/bin/data_test_golden    # only to write `ours` and `marked` anew
    .venv-golden/bin/python tests/golden/lerobot_open.py [--write-theirs] [--write-images]
    PYTHONPATH=.venv-golden/lerobot-0.3.3 .venv-golden/bin/python tests/golden/lerobot_open.py --v21 [--write-theirs]

tests/golden/lerobot/ours      written by flywheel: H.264, four episodes in two segments
tests/golden/lerobot/marked    written by flywheel: two episodes with provenance, subtasks, and every mark of a frame
tests/golden/lerobot/theirs    written by LeRobot with its defaults: AV1, two episodes, 15 fps (--write-theirs: anew; seed 7)
tests/golden/lerobot/theirs21  the same as v2.1, written by LeRobot 0.3.3 (--v21 --write-theirs: anew)
tests/golden/lerobot/images    written by LeRobot: two episodes whose camera is images inside Parquet (--write-images: anew; seed 9)
tests/golden/lerobot/depth     the same with a depth map in a video beside it
tests/golden/lerobot/read.json   per episode: task, length, SHA-256 of each feature's values in row order (float32, int64 or bool,
                                 little endian) and of each camera's frames (RGB u8 [t,h,w,3])

What flywheel made of them must read the same, in either version (LeRobot 0.3.3 opens no depth map: it wants three channels):

    for d in ours marked theirs theirs21 images; do bin/flywheel data convert tests/golden/lerobot/$d --to v2.1 --out out/v21/$d; done
    PYTHONPATH=.venv-golden/lerobot-0.3.3 .venv-golden/bin/python tests/golden/lerobot_open.py --same out/v21
    for d in ours marked theirs theirs21 images; do bin/flywheel data convert out/v21/$d --to v3.0 --out out/v30/$d; done
    .venv-golden/bin/python tests/golden/lerobot_open.py --same out/v30

The tolerance is zero, for values and for pixels: both sides decode with libav and convert with libswscale's bilinear filters.
Each frame is asked for by index, as a training loop does; LeRobot itself checks timestamps to 1e-4 s.
"""
import hashlib
import importlib.metadata as metadata
import json
import os
import pathlib
import shutil
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

NAMES = ("ours", "marked", "theirs", "images", "depth")
HERE = pathlib.Path(__file__).resolve().parent / "lerobot"
VALUES = {"observation.state": np.float32, "action": np.float32, "timestamp": np.float32, "task_index": np.int64,
          "intervention": np.bool_, "advantage": np.float32, "subtask_index": np.int64, "capture_ns": np.int64}


def write_theirs(root):
    shutil.rmtree(root, ignore_errors=True)
    rng = np.random.default_rng(7)
    features = {
        "observation.state": {"dtype": "float32", "shape": (4,), "names": ["a", "b", "c", "d"]},
        "action": {"dtype": "float32", "shape": (3,), "names": {"motors": ["x", "y", "z"]}},
        "observation.images.top": {"dtype": "video", "shape": (64, 96, 3), "names": ["height", "width", "channels"]},
        "observation.images.side": {"dtype": "video", "shape": (64, 64, 3), "names": ["height", "width", "channels"]},
    }
    ds = LeRobotDataset.create(f"local/{root.name}", fps=15, features=features, root=root, robot_type="so101", use_videos=True)
    for episode, length in enumerate((11, 8)):
        for t in range(length):
            y, x = np.mgrid[0:64, 0:96]
            picture = np.stack([40 + 2 * x + 0 * y, 60 + 2 * y + 3 * t, 90 + x // 2 + 40 * episode], -1).astype(np.uint8)
            frame = {
                "observation.state": rng.standard_normal(4).astype(np.float32),
                "action": rng.standard_normal(3).astype(np.float32),
                "observation.images.top": picture,
                "observation.images.side": np.ascontiguousarray(picture[:, :64][::-1]),
            }
            task = ("fold the towel", "open the box")[episode]
            ds.add_frame(frame, task) if "--v21" in sys.argv else ds.add_frame({**frame, "task": task})
        ds.save_episode()
    if "--v21" not in sys.argv:
        ds.finalize()
    shutil.rmtree(root / "images", ignore_errors=True)


def write_images(root, depth):
    shutil.rmtree(root, ignore_errors=True)
    rng = np.random.default_rng(9)
    features = {
        "observation.state": {"dtype": "float32", "shape": (3,), "names": ["a", "b", "c"]},
        "action": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
        "observation.images.top": {"dtype": "image", "shape": (32, 48, 3), "names": ["height", "width", "channels"]},
    }
    if depth:
        features["observation.images.depth"] = {"dtype": "video", "shape": (64, 64, 1), "names": ["height", "width", "channels"],
                                                "info": {"is_depth_map": True, "depth_unit": "m"}}
    ds = LeRobotDataset.create(f"local/{root.name}", fps=10, features=features, root=root, robot_type="so101", use_videos=True)
    for episode, length in enumerate((6, 5)):
        for t in range(length):
            y, x = np.mgrid[0:32, 0:48]
            picture = np.stack([5 * x, 7 * y + 3 * t, x + y + 40 * episode], -1).astype(np.uint8)
            frame = {
                "observation.state": rng.standard_normal(3).astype(np.float32),
                "action": rng.standard_normal(2).astype(np.float32),
                "observation.images.top": picture,
                "task": ("fold the towel", "open the box")[episode],
            }
            if depth:
                frame["observation.images.depth"] = np.full((64, 64, 1), 0.5 + 0.1 * t + episode, np.float32)
            ds.add_frame(frame)
        ds.save_episode()
    ds.finalize()
    shutil.rmtree(root / "images", ignore_errors=True)


def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def read(root):
    ds = LeRobotDataset(f"local/{root.name}", root=root, video_backend="pyav")
    cameras = [k for k in ds.meta.camera_keys if k not in getattr(ds.meta, "depth_keys", ())]
    values = {k: kind for k, kind in VALUES.items() if k in ds.meta.features}
    episodes = []
    at = 0
    for e in range(ds.meta.total_episodes):
        length = ds.meta.episodes[e]["length"]
        frames = [ds[i] for i in range(at, at + length)]
        at += length
        assert [int(f["episode_index"]) for f in frames] == [e] * length, (root, e)
        assert [int(f["frame_index"]) for f in frames] == list(range(length)), (root, e)
        assert [int(f["index"]) for f in frames] == list(range(at - length, at)), (root, e)
        assert len({f["task"] for f in frames}) == 1, (root, e)
        out = {"length": length, "task": frames[0]["task"]}
        for key, kind in values.items():
            out[key] = sha(np.stack([f[key].numpy() for f in frames]).astype(kind))
        for key in cameras:
            rgb = np.stack([np.rint(f[key].numpy().transpose(1, 2, 0) * 255.0) for f in frames]).astype(np.uint8)
            out[key] = sha(rgb)
        episodes.append(out)
    assert at == len(ds), root
    return {"frames": len(ds), "fps": ds.fps, "robot_type": ds.meta.robot_type, "episodes": episodes}


def same(folder, golden):
    """Every dataset of a folder must read as the golden of its name."""
    for root in sorted(p for p in folder.iterdir() if (p / "meta/info.json").exists()):
        want, got = golden["datasets"][root.name], read(root)
        for e, (w, g) in enumerate(zip(want["episodes"], got["episodes"])):
            assert {k for k in w if w[k] != g.get(k)} == set() and w.keys() == g.keys(), (root, e, {k for k in w if w[k] != g.get(k)})
        assert got == want, root
        print(f"{root}: {got['frames']} frames are equal in {', '.join(k for k in got['episodes'][0] if k != 'length')}")


def main():
    v21 = "--v21" in sys.argv
    versions = {p: metadata.version(p) for p in ("lerobot", "datasets", "pyarrow", "torch", "av", "numpy")}
    golden = json.loads((HERE / "read.json").read_text())
    if "--same" in sys.argv:
        same(pathlib.Path(sys.argv[sys.argv.index("--same") + 1]), golden)
        print("by", versions)
        return
    if "--write-theirs" in sys.argv:
        write_theirs(HERE / ("theirs21" if v21 else "theirs"))
    if "--write-images" in sys.argv:
        write_images(HERE / "images", False)
        write_images(HERE / "depth", True)
    golden["versions21" if v21 else "versions"] = versions
    for name in ("theirs21",) if v21 else NAMES:
        golden["datasets"][name] = read(HERE / name)
    (HERE / "read.json").write_text(json.dumps(golden, indent=1) + "\n")
    print({n: d["frames"] for n, d in golden["datasets"].items()}, "frames read;", versions)


if __name__ == "__main__":
    main()
