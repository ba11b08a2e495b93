#!/usr/bin/env python3
"""Whether two LeRobot datasets (v2.1 or v3.0, each) hold the same episodes, read by pyarrow and PyAV alone.

    .venv-golden/bin/python tests/golden/same_data.py A B

Compares, episode by episode: every column of the rows (bit for bit, but `index` and `episode_index`), the sentences, every further
column of the episodes' metadata, and every encoded frame's bytes and time within its episode. Exits 1 at the first difference.
"""
import json
import pathlib
import sys

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

OURS = ("episode_index", "tasks", "length", "dataset_from_index", "dataset_to_index")


def lines(path):
    return [json.loads(s) for s in path.read_text().splitlines() if s.strip()]


def nan_free(v):
    return None if isinstance(v, float) and v != v else v


def episodes(root):
    """[{tasks, length, fields, rows (pa.Table), video: {key: (path, from_s)}}]"""
    info = json.loads((root / "meta/info.json").read_text())
    cameras = [k for k, f in info["features"].items() if f["dtype"] == "video"]
    out, cache = [], {}
    if info["codebase_version"] == "v2.1":
        tasks = {t["task_index"]: t["task"] for t in lines(root / "meta/tasks.jsonl")}
        for e in lines(root / "meta/episodes.jsonl"):
            at = {"episode_chunk": e["episode_index"] // info["chunks_size"], "episode_index": e["episode_index"]}
            out.append({
                "tasks": e["tasks"], "length": e["length"], "names": tasks,
                "fields": {k: nan_free(v) for k, v in e.items() if k not in OURS},
                "rows": pq.read_table(root / info["data_path"].format(**at)),
                "video": {k: (root / info["video_path"].format(video_key=k, **at), 0.0) for k in cameras}})
        return info, out
    t = pq.read_table(root / "meta/tasks.parquet").to_pydict()
    names = dict(zip(t["task_index"], t.get("task") or t["__index_level_0__"]))
    for f in sorted((root / "meta/episodes").glob("*/*.parquet")):
        for e in pq.read_table(f).to_pylist():
            path = root / info["data_path"].format(chunk_index=e["data/chunk_index"], file_index=e["data/file_index"])
            if path not in cache:
                cache = {path: pq.read_table(path)}
            rows = cache[path]
            mask = pa.compute.equal(rows["episode_index"], e["episode_index"])
            out.append({
                "tasks": e["tasks"], "length": e["length"], "names": names,
                "fields": {k: nan_free(v) for k, v in e.items() if k not in OURS
                           and not k.startswith(("stats/", "videos/", "data/", "meta/"))},
                "rows": rows.filter(mask),
                "video": {k: (root / info["video_path"].format(
                    video_key=k, chunk_index=e[f"videos/{k}/chunk_index"], file_index=e[f"videos/{k}/file_index"]),
                    e[f"videos/{k}/from_timestamp"]) for k in cameras}})
    return info, out[:info["total_episodes"]]


def packets(path, from_s, n, fps, cache={}):
    if path not in cache:
        cache.clear()
        with av.open(str(path)) as c:
            s = c.streams.video[0]
            cache[path] = [(float(p.pts * s.time_base), bytes(p)) for p in c.demux(s) if p.size > 0]
    every = [p for p in cache[path] if p[0] >= from_s - 0.5 / fps][:n]
    return [(round(t - every[0][0], 5), b) for t, b in every]


def main():
    a, b = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    (ia, ea), (ib, eb) = episodes(a), episodes(b)
    assert len(ea) == len(eb) and ia["fps"] == ib["fps"] and ia["robot_type"] == ib["robot_type"]
    assert list(ia["features"]) == list(ib["features"]), "features"
    values = frames = 0
    for k, (x, y) in enumerate(zip(ea, eb)):
        assert x["tasks"] == y["tasks"] and x["length"] == y["length"] and x["fields"] == y["fields"], (k, x, y)
        assert x["rows"].column_names == y["rows"].column_names, k
        for c in x["rows"].column_names:
            u, v = (np.array(r["rows"][c].to_pylist()) for r in (x, y))
            if c == "task_index":
                assert [x["names"][i] for i in u] == [y["names"][i] for i in v], (k, c)
            elif c not in ("index", "episode_index"):
                assert x["rows"][c].type == y["rows"][c].type, (k, c, x["rows"][c].type, y["rows"][c].type)
                assert u.shape == v.shape and (u.tobytes() == v.tobytes() or u.dtype == object and (u == v).all()), (k, c)
            values += u.size
        for key in x["video"]:
            p, q = (packets(*r["video"][key], r["length"], ia["fps"]) for r in (x, y))
            assert len(p) == x["length"] and p == q, (k, key, len(p), len(q), x["length"])
            frames += len(p)
    print(f"{a} and {b}: {len(ea)} episodes, {values} values and {frames} encoded frames are the same")


if __name__ == "__main__":
    main()
