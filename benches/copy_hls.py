#!/usr/bin/env python3
"""RTMP to HLS by copy: many 6 Mb/s streams through headend and through nginx-rtmp.

usage: copy_hls.py [--streams 50] [--seconds 30]
Prints CPU per stream in percent of a core and memory per stream; writes target/bench/copy_hls.json.
"""

import argparse
import shutil
import subprocess
import time
from pathlib import Path

from measure import SCRATCH, Serving, fetched, free_port, needs, save, stop, table, tree_cpu_s, tree_pss_mib, wait_for

WINDOW_S = 20
SEGMENT_S = 2


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--streams", type=int, default=50)
    options.add_argument("--seconds", type=int, default=30)
    options = options.parse_args()
    needs("ffmpeg", "nginx")
    clip = six_megabits()
    bps = clip.stat().st_size * 8 / 120
    result = {"streams": options.streams, "seconds": options.seconds, "bps": bps}
    result["nginx-rtmp"] = nginx(clip, options)
    result["headend"] = headend(clip, options)
    rows = []
    for name in ("nginx-rtmp", "headend"):
        one = result[name]
        memory = "-" if one["beyond_window_mib"] is None else f"{one['beyond_window_mib']:.2f}"
        rows.append([name, f"{one['cpu_percent']:.3f} %", f"{one['memory_mib']:.2f}", memory, one["segments"]])
    table(f"{options.streams} streams of {bps / 1e6:.1f} Mb/s to HLS by copy (wanted: <= 0.4 % of a core and <= 1 MiB beyond the window per stream)",
          ["", "CPU per stream", "MiB per stream", "MiB beyond the window", "segments listed"], rows)
    save("copy_hls", result)


def headend(clip, options):
    channels = "".join(f'[[channel]]\nname = "c{n}"\nladder = "copy"\nformats = ["cmaf"]\nsegment = "{SEGMENT_S}s"\nwindow = "{WINDOW_S}s"\n' for n in range(options.streams))
    with Serving(channels, "copy") as serving:
        idle_mib = tree_pss_mib(serving.pid)
        sample = measured(serving.pid, clip, options, lambda n: f"rtmp://127.0.0.1:{serving.rtmp}/live/c{n}")
        metrics = fetched(serving.url("/metrics")).decode()
    shelf = sum(float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.startswith("headend_shelf_bytes{"))
    listed = sum(float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.startswith("headend_segments_total{"))
    sample["memory_mib"] = (sample["pss_mib"] - idle_mib) / options.streams
    sample["beyond_window_mib"] = sample["memory_mib"] - shelf / 2**20 / options.streams
    sample["segments"] = int(listed)
    return sample


def nginx(clip, options):
    """nginx-rtmp writes its segments to memory-backed storage, so that no disk is measured."""
    folder = Path("/dev/shm") / f"headend-bench-{free_port()}"
    folder.mkdir()
    try:
        return nginx_in(folder, clip, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def nginx_in(folder, clip, options):
    module = next((path for path in Path("/usr/lib/nginx/modules").glob("ngx_rtmp_module.so")), None)
    if module is None:
        raise SystemExit("nginx has no RTMP module (make bench-deps installs libnginx-mod-rtmp)")
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(f"""load_module {module};
worker_processes 1; daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size 4096;
  application live {{ live on; hls on; hls_path {folder}/hls; hls_fragment {SEGMENT_S}s; hls_playlist_length {WINDOW_S}s; hls_nested on; }} }} }}
""")
    process = subprocess.Popen(["nginx", "-c", config, "-p", folder], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for("nginx listens", lambda: process.poll() is None and f":{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text())
        idle_mib = tree_pss_mib(process.pid)
        sample = measured(process.pid, clip, options, lambda n: f"rtmp://127.0.0.1:{port}/live/c{n}")
        sample["segments"] = len(list((folder / "hls").rglob("*.ts")))
    finally:
        stop(process)
    sample["memory_mib"] = (sample["pss_mib"] - idle_mib) / options.streams
    sample["beyond_window_mib"] = None
    return sample


def measured(pid, clip, options, url):
    """CPU share and memory of a server while all streams run and their windows are full."""
    publishers = []
    try:
        for n in range(options.streams):
            command = ["ffmpeg", "-nostdin", "-v", "error", "-re", "-i", clip, "-c", "copy", "-f", "flv", url(n)]
            publishers.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            time.sleep(0.1)  # a start at one instant would make every segment end at one instant
        time.sleep(WINDOW_S + 2 * SEGMENT_S)
        before, start = tree_cpu_s(pid), time.monotonic()
        time.sleep(options.seconds)
        used = (tree_cpu_s(pid) - before) / (time.monotonic() - start)
        lost = [n for n, publisher in enumerate(publishers) if publisher.poll() is not None]
        if lost:
            raise SystemExit(f"publishers {lost} ended early")
        return {"cpu_percent": used * 100 / options.streams, "pss_mib": tree_pss_mib(pid)}
    finally:
        for publisher in publishers:
            stop(publisher)


def six_megabits():
    """Two minutes of 720p25 at 6 Mb/s with sound: the content does not matter to a copy."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    clip = SCRATCH / "six-megabits.flv"
    if not clip.exists():
        unfinished = SCRATCH / "six-megabits.part.flv"
        video = ["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "6M", "-minrate", "6M", "-maxrate", "6M", "-bufsize", "6M", "-nal-hrd", "cbr", "-g", "50", "-bf", "0"]
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25", "-f", "lavfi", "-i", "sine=r=48000",
                        *video, "-c:a", "aac", "-b:a", "128k", "-t", "120", unfinished], check=True)
        unfinished.rename(clip)
    return clip


if __name__ == "__main__":
    main()
