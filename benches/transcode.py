#!/usr/bin/env python3
"""`headend transcode` against ffmpeg: the same input, the same ladder, in alternation, medians of five.

usage: transcode.py [--rounds 5] [--clip FILE] [--no-vmaf]
Prints CPU, wall, memory, and per rung bitrate, VMAF and PSNR; writes target/bench/transcode.json.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from measure import HEADEND, ROOT, SCRATCH, median, mixed_clip, needs, run, save, table

# The ladder `standard`: name, width, height, bit/s.
RUNGS = [("1080p", 1920, 1080, 5_000_000), ("720p", 1280, 720, 2_800_000), ("480p", 854, 480, 1_400_000), ("360p", 640, 360, 800_000)]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--clip", type=Path)
    options.add_argument("--no-vmaf", action="store_true")
    options = options.parse_args()
    needs("ffmpeg", "ffprobe")
    clip = options.clip or mixed_clip()
    contenders = {"ffmpeg": ffmpeg, "headend": headend}
    runs = {name: [] for name in contenders}
    for number in range(options.rounds):
        for name, contender in contenders.items():
            out = SCRATCH / f"transcode-{name}"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            outcome = run(contender(clip, out), log=SCRATCH / f"transcode-{name}.log")
            runs[name].append(outcome)
            print(f"round {number + 1}: {name}: {outcome.cpu_s:.1f} CPU-s, {outcome.wall_s:.1f} s, {outcome.peak_mib:.0f} MiB", file=sys.stderr)
    scorer = None if options.no_vmaf else vmaf_ffmpeg()
    length_s = float(probe(clip, "format=duration"))
    result = {"clip": clip.name, "length_s": length_s, "rounds": options.rounds, "costs": {}, "rungs": {}}
    for name, outcomes in runs.items():
        result["costs"][name] = {key: median([getattr(outcome, key) for outcome in outcomes]) for key in ("cpu_s", "wall_s", "peak_mib")}
        result["rungs"][name] = {rung[0]: quality(clip, SCRATCH / f"transcode-{name}", rung, scorer) for rung in RUNGS}
    result["cpu_ratio_of_rounds"] = [ours.cpu_s / theirs.cpu_s for ours, theirs in zip(runs["headend"], runs["ffmpeg"])]
    show(result)
    save("transcode", result)


def headend(clip, out):
    return [HEADEND, "transcode", clip, "--out", out, "--ladder", "standard", "--format", "cmaf"]


def ffmpeg(clip, out):
    """What a competent user writes: one decode, a split, four scales, four encodes, fragmented MP4 in HLS, one audio encode."""
    split = f"[0:v]split={len(RUNGS)}" + "".join(f"[s{n}]" for n in range(len(RUNGS)))
    scales = [f"[s{n}]scale={width}:{height}:flags=bicubic[v{n}]" for n, (_, width, height, _) in enumerate(RUNGS)]
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", clip, "-filter_complex", ";".join([split, *scales])]
    variants = []
    for n, (name, _, _, rate) in enumerate(RUNGS):
        command += ["-map", f"[v{n}]", f"-c:v:{n}", "libx264", f"-preset:v:{n}", "veryfast", f"-profile:v:{n}", "high", f"-b:v:{n}", rate]
        command += [f"-maxrate:v:{n}", int(rate * 1.07), f"-bufsize:v:{n}", int(rate * 1.5)]
        variants.append(f"v:{n},agroup:audio,name:{name}")
    command += ["-map", "0:a", "-c:a", "aac", "-b:a", "128k", "-ac", "2", "-ar", "48000"]
    command += ["-force_key_frames", "expr:gte(t,n_forced*2)", "-sc_threshold", "0", "-flags", "+cgop"]
    command += ["-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4", "-hls_flags", "independent_segments"]
    command += ["-var_stream_map", " ".join([*variants, "a:0,agroup:audio,name:audio,default:yes"]), "-master_pl_name", "master.m3u8"]
    command += ["-hls_fmp4_init_filename", "init.mp4", "-hls_segment_filename", out / "%v" / "%05d.m4s", out / "%v" / "playlist.m3u8"]
    return [str(part) for part in command]


def quality(clip, out, rung, scorer):
    """Bitrate over the whole length, and scores against the source scaled to the rung."""
    name, width, height, target = rung
    playlist = out / name / "playlist.m3u8"
    sizes = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=size", "-of", "csv=p=0", playlist], capture_output=True, text=True, check=True)
    packets = [int(line.strip(",")) for line in sizes.stdout.split()]
    length_s = len(packets) / 30
    found = {"target_bps": target, "pictures": len(packets), "bps": sum(packets) * 8 / length_s, "vmaf": None, "psnr_y": None}
    graph = f"[0:v]setpts=PTS-STARTPTS,fps=30[a];[1:v]setpts=PTS-STARTPTS,fps=30,scale={width}:{height}:flags=bicubic[b];[a][b]psnr"
    said = subprocess.run(["ffmpeg", "-nostdin", "-hide_banner", "-i", playlist, "-i", clip, "-lavfi", graph, "-f", "null", "-"], capture_output=True, text=True).stderr
    score = re.search(r"PSNR y:([\d.]+|inf)", said)
    found["psnr_y"] = float(score[1]) if score else None
    if scorer:
        found["vmaf"] = vmaf(scorer, playlist, clip)
    return found


def vmaf(scorer, playlist, clip):
    """VMAF at 1080p, every third picture, as a viewer's screen would show the rung.

    Both inputs get the same colour tags first: where only one is tagged, ffmpeg slips a conversion in that costs up to two points.
    """
    file = SCRATCH / "vmaf.json"
    tags = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    # the first input is the one that is judged
    graph = f"[0:v]{tags},setpts=PTS-STARTPTS,fps=30,scale=1920:1080:flags=bicubic,format=yuv420p[a];[1:v]{tags},setpts=PTS-STARTPTS,fps=30,format=yuv420p[b];[a][b]libvmaf=n_threads=2:n_subsample=3:log_fmt=json:log_path={file}"
    subprocess.run([scorer, "-nostdin", "-v", "error", "-i", playlist, "-i", clip, "-lavfi", graph, "-f", "null", "-"], check=True)
    return json.loads(file.read_text())["pooled_metrics"]["vmaf"]["mean"]


def vmaf_ffmpeg():
    """The ffmpeg of imageio-ffmpeg, which has libvmaf and its models; None where it is not installed."""
    python = ROOT / ".qa" / "venv" / "bin" / "python"
    if not python.exists():
        print("no .qa/venv: the table has no VMAF (make bench-deps)", file=sys.stderr)
        return None
    asked = subprocess.run([python, "-c", "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"], capture_output=True, text=True)
    return asked.stdout.strip() or None


def probe(file, entry):
    asked = subprocess.run(["ffprobe", "-v", "error", "-show_entries", entry, "-of", "csv=p=0", file], capture_output=True, text=True, check=True)
    return asked.stdout.split()[0]


def show(result):
    ours, theirs = result["costs"]["headend"], result["costs"]["ffmpeg"]
    cpu_ratio = median(result["cpu_ratio_of_rounds"])
    wanted = {"cpu_s": 0.95, "wall_s": None, "peak_mib": 0.7}
    names = {"cpu_s": "CPU seconds", "wall_s": "wall seconds", "peak_mib": "peak memory, MiB"}
    rows = []
    for key, name in names.items():
        ratio = cpu_ratio if key == "cpu_s" else ours[key] / theirs[key]
        rows.append([name, f"{theirs[key]:.1f}", f"{ours[key]:.1f}", f"{ratio:.3f}", f"<= {wanted[key]}" if wanted[key] else "-"])
    table(f"transcode of {result['clip']} ({result['length_s']:.0f} s), medians of {result['rounds']}", ["", "ffmpeg", "headend", "ratio", "wanted"], rows)
    rows = []
    for name, *_ in RUNGS:
        a, b = result["rungs"]["ffmpeg"][name], result["rungs"]["headend"][name]
        score = lambda key, digits: ["-" if side[key] is None else f"{side[key]:.{digits}f}" for side in (a, b)]
        rate_change = (b["bps"] / a["bps"] - 1) * 100
        rows.append([name, f"{a['bps'] / 1000:.0f}", f"{b['bps'] / 1000:.0f}", f"{rate_change:+.1f} %", *score("vmaf", 2), *score("psnr_y", 2), f"{a['pictures']}/{b['pictures']}"])
    table("rungs (wanted: rates within 3 %, VMAF at most 0.3 lower)", ["rung", "kb/s ffmpeg", "kb/s headend", "rate", "VMAF ffmpeg", "VMAF headend", "PSNR-Y ffmpeg", "PSNR-Y headend", "pictures"], rows)


if __name__ == "__main__":
    main()
