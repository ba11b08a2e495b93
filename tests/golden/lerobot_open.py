#!/usr/bin/env python3
"""Open two tiny datasets with the reference library (LeRobot) and keep hashes of all that it reads, for tests/data/test_golden.c.

    tools/golden_venv.sh
    FW_GOLDEN_MAKE=$PWD/tests/golden/lerobot/ours build/dev/bin/data_test_golden    # only to write `ours` anew
    .venv-golden/bin/python tests/golden/lerobot_open.py [--write-theirs]

tests/golden/lerobot/ours    written by flywheel: H.264, four episodes in two segments
tests/golden/lerobot/theirs  written by LeRobot with its defaults: AV1, two episodes, 15 fps (--write-theirs: anew; seed 7)
tests/golden/lerobot/read.json   per episode: task, length, SHA-256 of each feature's values in row order (float32 or int64,
                                 little endian) and of each camera's frames (RGB u8 [t,h,w,3])

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

HERE = pathlib.Path(__file__).resolve().parent / "lerobot"
VALUES = {"observation.state": np.float32, "action": np.float32, "timestamp": np.float32, "task_index": np.int64}


def write_theirs(root):
    shutil.rmtree(root, ignore_errors=True)
    rng = np.random.default_rng(7)
    features = {
        "observation.state": {"dtype": "float32", "shape": (4,), "names": ["a", "b", "c", "d"]},
        "action": {"dtype": "float32", "shape": (3,), "names": {"motors": ["x", "y", "z"]}},
        "observation.images.top": {"dtype": "video", "shape": (64, 96, 3), "names": ["height", "width", "channels"]},
        "observation.images.side": {"dtype": "video", "shape": (64, 64, 3), "names": ["height", "width", "channels"]},
    }
    ds = LeRobotDataset.create("local/theirs", fps=15, features=features, root=root, robot_type="so101", use_videos=True)
    for episode, length in enumerate((11, 8)):
        for t in range(length):
            y, x = np.mgrid[0:64, 0:96]
            picture = np.stack([40 + 2 * x + 0 * y, 60 + 2 * y + 3 * t, 90 + x // 2 + 40 * episode], -1).astype(np.uint8)
            ds.add_frame({
                "observation.state": rng.standard_normal(4).astype(np.float32),
                "action": rng.standard_normal(3).astype(np.float32),
                "observation.images.top": picture,
                "observation.images.side": np.ascontiguousarray(picture[:, :64][::-1]),
                "task": ("fold the towel", "open the box")[episode],
            })
        ds.save_episode()
    ds.finalize()
    shutil.rmtree(root / "images", ignore_errors=True)


def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def read(root):
    ds = LeRobotDataset(f"local/{root.name}", root=root, video_backend="pyav")
    cameras = [k for k, f in ds.meta.features.items() if f["dtype"] == "video"]
    episodes = []
    for e in range(ds.meta.total_episodes):
        row = ds.meta.episodes[e]
        frames = [ds[i] for i in range(row["dataset_from_index"], row["dataset_to_index"])]
        assert [int(f["episode_index"]) for f in frames] == [e] * row["length"], (root, e)
        assert [int(f["frame_index"]) for f in frames] == list(range(row["length"])), (root, e)
        out = {"length": row["length"], "task": frames[0]["task"]}
        for key, kind in VALUES.items():
            out[key] = sha(np.stack([f[key].numpy() for f in frames]).astype(kind))
        for key in cameras:
            rgb = np.stack([np.rint(f[key].numpy().transpose(1, 2, 0) * 255.0) for f in frames]).astype(np.uint8)
            out[key] = sha(rgb)
        episodes.append(out)
    return {"frames": len(ds), "fps": ds.fps, "robot_type": ds.meta.robot_type, "episodes": episodes}


def main():
    if "--write-theirs" in sys.argv:
        write_theirs(HERE / "theirs")
    versions = {p: metadata.version(p) for p in ("lerobot", "datasets", "pyarrow", "torch", "av", "numpy")}
    out = {"versions": versions, "datasets": {n: read(HERE / n) for n in ("ours", "theirs")}}
    (HERE / "read.json").write_text(json.dumps(out, indent=1) + "\n")
    print({n: d["frames"] for n, d in out["datasets"].items()}, "frames read;", versions)


if __name__ == "__main__":
    main()
