#!/usr/bin/env python3
"""A v3.0 dataset whose camera is images inside Parquet (dtype image, PNG, as LeRobot stores them) and which has a depth map in a video.

    .venv-golden/bin/python tests/golden/rows_images.py      # writes tests/golden/rows anew; needs pyarrow, pillow, numpy, av

tests/data/test_rows.c knows every value by formula: state[t][d] = e + t/10 + d, action[t][d] = -state, pixel (y, x) of frame t of
episode e = (5 x, 7 y + 3 t, x + y + 40 e) mod 256. Two episodes of 6 and 5 frames, a row group each; versions in info.json.
"""
import io
import json
import pathlib
import shutil

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parent / "rows"
LENGTHS, H, W, FPS = (6, 5), 32, 48, 10


def png(e, t):
    y, x = np.mgrid[0:H, 0:W]
    out = io.BytesIO()
    Image.fromarray(np.stack([5 * x, 7 * y + 3 * t, x + y + 40 * e], -1).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def depth(path):
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as c:
        s = c.add_stream("libx264", rate=FPS)
        s.width, s.height, s.pix_fmt, s.gop_size, s.max_b_frames = 64, 64, "gray", 1, 0
        for i in range(sum(LENGTHS)):
            f = av.VideoFrame.from_ndarray(np.full((64, 64), 20 + 9 * i, np.uint8), format="gray")
            for p in s.encode(f):
                c.mux(p)
        for p in s.encode():
            c.mux(p)


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    (ROOT / "data/chunk-000").mkdir(parents=True)
    (ROOT / "meta/episodes/chunk-000").mkdir(parents=True)
    scalar = {"dtype": "int64", "shape": [1], "names": None}
    features = {
        "observation.state": {"dtype": "float32", "shape": [3], "names": ["a", "b", "c"]},
        "action": {"dtype": "float32", "shape": [3], "names": ["a", "b", "c"]},
        "observation.images.top": {"dtype": "image", "shape": [H, W, 3], "names": ["height", "width", "channels"]},
        "observation.images.depth": {"dtype": "video", "shape": [64, 64, 1], "names": ["height", "width", "channels"],
                                     "info": {"is_depth_map": True, "depth_unit": "m", "video.fps": FPS}},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        **{k: scalar for k in ("frame_index", "episode_index", "index", "task_index")},
    }
    tables, rows, first = [], [], 0
    tasks = ("fold the towel", "open the box")
    for e, n in enumerate(LENGTHS):
        state = np.array([[e + t / 10 + d for d in range(3)] for t in range(n)], np.float32)
        vector = pa.list_(pa.float32(), 3)
        tables.append(pa.table({
            "observation.state": pa.array(list(state), vector),
            "action": pa.array(list(-state), vector),
            "observation.images.top": pa.array([{"bytes": png(e, t), "path": f"frame-{t:06d}.png"} for t in range(n)],
                                               pa.struct({"bytes": pa.binary(), "path": pa.string()})),
            "timestamp": pa.array([t / FPS for t in range(n)], pa.float32()),
            "frame_index": list(range(n)), "episode_index": [e] * n, "index": list(range(first, first + n)), "task_index": [e] * n}))
        key = "videos/observation.images.depth/"
        rows.append({"episode_index": e, "tasks": [tasks[e]], "length": n, "data/chunk_index": 0, "data/file_index": 0,
                     "dataset_from_index": first, "dataset_to_index": first + n, key + "chunk_index": 0, key + "file_index": 0,
                     key + "from_timestamp": first / FPS, key + "to_timestamp": (first + n) / FPS,
                     "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0})
        first += n
    with pq.ParquetWriter(ROOT / "data/chunk-000/file-000.parquet", tables[0].schema) as w:
        for t in tables:
            w.write_table(t)
    pq.write_table(pa.Table.from_pylist(rows), ROOT / "meta/episodes/chunk-000/file-000.parquet")
    pq.write_table(pa.table({"task_index": [0, 1], "task": list(tasks)}), ROOT / "meta/tasks.parquet")
    depth(ROOT / "videos/observation.images.depth/chunk-000/file-000.mp4")
    stats = {}
    for k in ("observation.state", "action"):
        v = np.concatenate([np.array(t[k].to_pylist()) for t in tables])
        stats[k] = {"min": v.min(0).tolist(), "max": v.max(0).tolist(), "mean": v.mean(0).tolist(), "std": v.std(0).tolist(), "count": [len(v)]}
    (ROOT / "meta/stats.json").write_text(json.dumps(stats, indent=4))
    (ROOT / "meta/info.json").write_text(json.dumps({
        "codebase_version": "v3.0", "fps": FPS, "features": features, "total_episodes": 2, "total_frames": first, "total_tasks": 2,
        "chunks_size": 1000, "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4", "robot_type": "so101",
        "splits": {"train": "0:2"}, "versions": {"pyarrow": pa.__version__, "av": av.__version__, "numpy": np.__version__}}, indent=4))


if __name__ == "__main__":
    main()
