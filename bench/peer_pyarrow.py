#!/usr/bin/env python3
"""Every row of a dataset's Parquet files, one after the other, by pyarrow on one thread, for bench/bench_scan.c.

  .venv-golden/bin/python bench/peer_pyarrow.py DIR [--rounds 5]
"""
import argparse
import json
import pathlib
import time

import pyarrow
import pyarrow.parquet as pq


def scan(files):
    rows = values = 0
    for f in files:
        t = pq.ParquetFile(f).read(use_threads=False)
        rows += t.num_rows
        for c in t.columns:
            for chunk in c.chunks:
                while pyarrow.types.is_nested(chunk.type):
                    chunk = chunk.values
                values += len(chunk)
    return rows, values


def main():
    p = argparse.ArgumentParser()
    p.add_argument("dir", type=pathlib.Path)
    p.add_argument("--rounds", type=int, default=5)
    args = p.parse_args()
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    files = sorted((args.dir / "data").glob("*/*.parquet"))
    scan(files)
    for _ in range(args.rounds):
        cpu, wall = time.process_time(), time.perf_counter()
        rows, values = scan(files)
        print(json.dumps({"scan": "pyarrow " + pyarrow.__version__, "rows": rows, "values": values,
                          "cpu_s": round(time.process_time() - cpu, 4), "wall_s": round(time.perf_counter() - wall, 4)}), flush=True)


if __name__ == "__main__":
    main()
