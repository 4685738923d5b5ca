"""What the benches share: CPU seconds and memory of whole process trees, medians, tables, and clips."""

import json
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / "target" / "bench"
HEADEND = ROOT / "target" / "release" / "headend"
SHARED = Path(os.environ.get("HEADEND_SHARED", ROOT / ".." / "shared"))
TICK = os.sysconf("SC_CLK_TCK")


class Outcome:
    """What a run used: CPU and wall seconds, peak memory of all its processes together in MiB."""

    def __init__(self, cpu_s, wall_s, peak_mib):
        self.cpu_s, self.wall_s, self.peak_mib = cpu_s, wall_s, peak_mib


def run(command, cwd=None, log=None):
    """Runs a command to its end. CPU counts every process that it started and waited for; memory is sampled as PSS, so shared pages count once."""
    out = open(log or SCRATCH / "last.log", "wb")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    sampler = Sampler(process.pid)
    sampler.start()
    status = process.wait()
    wall_s = time.monotonic() - start
    sampler.stop()
    out.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if status != 0:
        raise SystemExit(f"{' '.join(map(str, command[:3]))} ... ended with {status}; see {out.name}\n{Path(out.name).read_text(errors='replace')[-2000:]}")
    waited_s = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    # A child that its parent never waits for (an orphan, or one handed to init) is missing in the first figure and present in the second.
    return Outcome(max(waited_s, sampler.cpu_s), wall_s, sampler.peak_mib)


class Sampler(threading.Thread):
    """Looks at a process and all its descendants twenty times a second."""

    def __init__(self, pid, period_s=0.05):
        super().__init__(daemon=True)
        self.pid, self.period_s = pid, period_s
        self.peak_mib = 0.0
        self.cpu_by_process = {}
        self.done = threading.Event()

    def run(self):
        while not self.done.wait(self.period_s):
            self.sample()

    def sample(self):
        total_kib = 0
        for pid in tree(self.pid):
            total_kib += pss_kib(pid)
            self.cpu_by_process[pid] = cpu_s(pid)
        self.peak_mib = max(self.peak_mib, total_kib / 1024)

    @property
    def cpu_s(self):
        return sum(self.cpu_by_process.values())

    def stop(self):
        self.done.set()
        self.join()


def tree(pid):
    """A process and its descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = stat(entry)
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry))
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting.extend(children.get(one, []))
    return found


def stat(pid):
    """The fields of /proc/PID/stat after the command's name."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None


def cpu_s(pid):
    """CPU seconds of one process so far."""
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICK if fields else 0.0


def tree_cpu_s(pid):
    """CPU seconds so far of a process and its living descendants."""
    return sum(cpu_s(one) for one in tree(pid))


def pss_kib(pid):
    """Proportional share of memory, in KiB."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def tree_pss_mib(pid):
    """Memory of a process and its descendants, in MiB."""
    return sum(pss_kib(one) for one in tree(pid)) / 1024


def median(values):
    return statistics.median(values)


def table(title, head, rows):
    """Prints a Markdown table."""
    texts = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[n]) for row in texts) for n in range(len(head))]
    line = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
    print(f"\n### {title}\n\n{line(texts[0])}\n|{'|'.join('-' * (width + 2) for width in widths)}|")
    for row in texts[1:]:
        print(line(row))
    print(flush=True)


def save(name, result):
    """Writes a result as JSON beside the machine that it comes from."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "unknown")
    result["machine"] = {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()[0]}
    file = SCRATCH / f"{name}.json"
    file.write_text(json.dumps(result, indent=1))
    print(f"written to {file.relative_to(ROOT)}")


def needs(*programs):
    """Ends with a message where a program is missing."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)} (make bench-deps installs them)")
    if not HEADEND.exists():
        raise SystemExit(f"{HEADEND} is not built (make build)")
    SCRATCH.mkdir(parents=True, exist_ok=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, ask, limit_s=30):
    """Asks until the answer is true."""
    start = time.monotonic()
    while time.monotonic() - start < limit_s:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.02)
    raise SystemExit(f"waited {limit_s} s in vain: {what}")


def fetched(url, timeout_s=5):
    """The body of a URL, or None."""
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return answer.read()
    except OSError:
        return None


class Serving:
    """A running `headend serve`, ended by its id."""

    def __init__(self, config, name):
        self.http, self.rtmp, self.srt = free_port(), free_port(), free_port()
        folder = SCRATCH / f"serve-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "headend.toml").write_text(config)
        command = [HEADEND, "serve", "--config", folder / "headend.toml", "--http", f"127.0.0.1:{self.http}", "--rtmp", f"127.0.0.1:{self.rtmp}", "--srt", f"127.0.0.1:{self.srt}"]
        self.log = open(folder / "headend.log", "wb")
        self.process = subprocess.Popen([*command, "--state-dir", folder / "state"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.pid = self.process.pid
        wait_for("headend is ready", lambda: self.alive() and fetched(self.url("/readyz")) is not None)

    def alive(self):
        if self.process.poll() is not None:
            raise SystemExit(f"headend ended: see {self.log.name}")
        return True

    def url(self, path):
        return f"http://127.0.0.1:{self.http}{path}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.process)
        self.log.close()


def stop(process):
    """Ends one child that this script started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def mixed_clip():
    """300 frames of mixed 1080p30 with sound: film, animation and camera where real clips are shared, else synthetic."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    real = [SHARED / "media" / name for name in ("sintel-trailer-720p24.mp4", "bbb-720p25.mp4", "street-1080p25.h264")]
    is_real = all(file.exists() for file in real)
    clip = SCRATCH / ("mixed-1080p30.mp4" if is_real else "synthetic-1080p30.mp4")
    if clip.exists():
        return clip
    to_1080 = "scale=1920:1080:force_original_aspect_ratio=decrease:flags=lanczos,pad=1920:1080:-1:-1,setsar=1,fps=30,format=yuv420p"
    if is_real:
        sources = ["-ss", "12", "-t", "4", "-i", real[0], "-t", "4", "-i", real[1], "-t", "2", "-i", real[2], "-f", "lavfi", "-t", "10", "-i", "anoisesrc=a=0.05:r=48000:c=pink"]
        graph = f"[0:v]{to_1080},trim=duration=4,setpts=PTS-STARTPTS[a];[1:v]{to_1080},trim=duration=4,setpts=PTS-STARTPTS[b];[2:v]{to_1080},trim=duration=2,setpts=PTS-STARTPTS[c];[a][b][c]concat=n=3:v=1:a=0[v]"
        maps = ["-filter_complex", graph, "-map", "[v]", "-map", "3:a"]
    else:
        sources = ["-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=30", "-f", "lavfi", "-i", "anoisesrc=a=0.05:r=48000:c=pink"]
        maps = ["-vf", "noise=alls=8:allf=t", "-map", "0:v", "-map", "1:a"]
    unfinished = clip.with_suffix(".part.mp4")
    encode = ["-c:v", "libx264", "-preset", "medium", "-crf", "16", "-g", "60", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "192k", "-frames:v", "300", "-t", "10"]
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *sources, *maps, *encode, unfinished]
    subprocess.run([str(part) for part in command], check=True)
    unfinished.rename(clip)
    return clip
