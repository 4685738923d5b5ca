#!/usr/bin/env python3
"""The origin against nginx static on the same files: requests per CPU second for playlists, bytes per CPU second for segments.

usage: origin.py [--seconds 8] [--rounds 3]
Writes target/bench/origin.json.
"""

import argparse
import re
import shutil
import subprocess
from pathlib import Path

from measure import SCRATCH, Serving, fetched, free_port, median, needs, save, stop, table, tree_cpu_s, wait_for
from copy_hls import six_megabits

CONFIG = '[[channel]]\nname = "c"\nladder = "copy"\nformats = ["cmaf"]\nsegment = "2s"\nwindow = "60s"\n'


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=8)
    options.add_argument("--rounds", type=int, default=3)
    options = options.parse_args()
    needs("ffmpeg", "nginx", "wrk")
    with Serving(CONFIG, "origin") as serving:
        # The window fills first, then the publisher stops: the files stand still while both servers are asked for them.
        clip = six_megabits()
        publisher = subprocess.Popen(["ffmpeg", "-nostdin", "-v", "error", "-re", "-i", clip, "-c", "copy", "-t", "24", "-f", "flv", f"rtmp://127.0.0.1:{serving.rtmp}/live/c"],
                                     stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        publisher.wait()
        paths = served_paths(serving)
        folder = SCRATCH / "origin-files"
        shutil.rmtree(folder, ignore_errors=True)
        for path in paths.values():
            file = folder / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(fetched(serving.url(path)))
        result = compared(serving, folder, paths, options)
    rows = []
    for kind, unit, scale, wanted in (("playlist", "requests", 1, 0.8), ("segment", "MB", 1e6, 0.5)):
        theirs, ours = (result[name][kind] / scale for name in ("nginx", "headend"))
        rows.append([f"{kind}, {result['bytes'][kind]} bytes", f"{unit} per CPU-s", f"{theirs:.0f}", f"{ours:.0f}", f"{ours / theirs:.2f}", f">= {wanted}"])
    table("origin, from memory, against nginx static", ["", "unit", "nginx", "headend", "ratio", "wanted"], rows)
    save("origin", result)


def served_paths(serving):
    """A media playlist of the channel and its largest segment, as the multivariant playlist leads to them."""
    master = "/live/c/master.m3u8"
    text = wait_for("the channel is on the air", lambda: fetched(serving.url(master))).decode()
    uri = next(line for line in text.splitlines() if line and not line.startswith("#"))
    playlist = f"/live/c/{uri}"
    text = fetched(serving.url(playlist)).decode()
    uris = [line for line in text.splitlines() if line and not line.startswith("#")]
    folder = playlist.rsplit("/", 1)[0]
    return {"playlist": playlist, "segment": max((f"{folder}/{uri}" for uri in uris), key=lambda path: len(fetched(serving.url(path))))}


def compared(serving, folder, paths, options):
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(f"""worker_processes 1; daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; open_file_cache max=100;
  types {{ application/vnd.apple.mpegurl m3u8; video/iso.segment m4s; }}
  server {{ listen 127.0.0.1:{port}; root {folder}; }} }}
""")
    nginx = subprocess.Popen(["nginx", "-c", config, "-p", folder], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        servers = {"nginx": (nginx.pid, port), "headend": (serving.pid, serving.http)}
        wait_for("nginx answers", lambda: fetched(f"http://127.0.0.1:{port}{paths['playlist']}"))
        samples = {name: {kind: [] for kind in paths} for name in servers}
        for _ in range(options.rounds):
            for kind, path in paths.items():
                for name, (pid, port) in servers.items():
                    samples[name][kind].append(per_cpu_second(pid, f"http://127.0.0.1:{port}{path}", kind, options.seconds))
    finally:
        stop(nginx)
    result = {name: {kind: median(values) for kind, values in kinds.items()} for name, kinds in samples.items()}
    result["bytes"] = {kind: (folder / path.lstrip("/")).stat().st_size for kind, path in paths.items()}
    return result


def per_cpu_second(pid, url, kind, seconds):
    """Requests (playlists) or bytes (segments) that a CPU second of the server carries."""
    before = tree_cpu_s(pid)
    said = subprocess.run(["wrk", "-t1", "-c32", f"-d{seconds}s", url], capture_output=True, text=True, check=True).stdout
    used = tree_cpu_s(pid) - before
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"{url}: {said}")
    count, amount, unit = re.search(r"(\d+) requests in [^,]+, ([\d.]+)([KMGT]?B) read", said).groups()
    read = float(amount) * {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}[unit]
    return (int(count) if kind == "playlist" else read) / used


if __name__ == "__main__":
    main()
