"""Starts, watches and ends real gnomond processes for the process tests, the benchmarks' scale part and the quickstart.

A Node owns one folder (config, data, log) and the processes it started: everything is gone when the test ends, also
when it fails, and nothing else is ever signalled. Single-threaded use, except kill(), which any thread may call.
"""
import atexit
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

SKIP = 77                    # CTest: a tool or a right is missing here
READY_LIMIT = 120            # seconds; generous, since a start is judged by its ready line and not by its speed
STOP_LIMIT = 120
BIN_DIR = os.environ.get("GNOMON_BIN_DIR") or os.path.join(os.path.dirname(__file__), "../../build/release/bin")
GNOMOND = os.path.abspath(os.path.join(BIN_DIR, "gnomond"))
GNOMON = os.path.abspath(os.path.join(BIN_DIR, "gnomon"))
LONG = os.environ.get("GNOMON_LONG") == "1"
KiB, MiB, GiB, TiB = 1 << 10, 1 << 20, 1 << 30, 1 << 40

_libc = ctypes.CDLL(None, use_errno=True)
_folders = []
_processes = []


def _die_with_parent():
    """In the child: SIGKILL when the test dies, however it dies (PR_SET_PDEATHSIG)."""
    _libc.prctl(1, signal.SIGKILL, 0, 0, 0)


def spawn(argv, **kwargs):
    """subprocess.Popen of a process that never outlives the test."""
    process = subprocess.Popen(argv, preexec_fn=_die_with_parent, **kwargs)
    _processes.append(process)
    return process


def make_folder(prefix="gnomon-test."):
    """A temporary folder that is removed at exit. Short, since Unix socket paths hold 107 bytes."""
    folder = tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("GNOMON_TEST_DIR"))
    _folders.append(folder)
    return folder


@atexit.register
def _clean_up():
    for process in _processes:
        if process.poll() is None:
            try:
                process.send_signal(signal.SIGCONT)
                process.kill()
            except ProcessLookupError:
                pass
            process.wait()
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)


def _on_signal(number, _frame):
    sys.exit(128 + number) # so that atexit runs


signal.signal(signal.SIGTERM, _on_signal)


def wait_until(condition, limit, what, every=0.02):
    """Waits until condition() is true and returns its value; AssertionError naming `what` after `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit} s: {what}")
        time.sleep(every)


def run(argv, check=True, limit=600, **kwargs):
    """Runs a client to its end, output captured as text. With check, a failure shows what the client said."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                          timeout=limit, stdin=kwargs.pop("stdin", subprocess.DEVNULL),
                          preexec_fn=_die_with_parent, **kwargs)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
    return done


def size_text(size):
    """A size as the config file spells it: in the largest unit that divides it."""
    for unit, name in ((TiB, "TiB"), (GiB, "GiB"), (MiB, "MiB"), (KiB, "KiB")):
        if size and size % unit == 0:
            return f"{size // unit}{name}"
    return f"{size}B"


class StartFailed(AssertionError):
    """gnomond ended, or said nothing, instead of its ready line. `log` and `returncode` tell why."""

    def __init__(self, text, log, returncode):
        super().__init__(f"{text}\n{log[-3000:]}")
        self.log, self.returncode = log, returncode


class Node:
    """One gnomond. volumes: a list of volume objects as in the config file, or a {name: size} dict."""

    def __init__(self, volumes, name="alpha", folder=None, config=None, transports=("unix", "tcp"), cache="buffered"):
        if isinstance(volumes, dict):
            volumes = [{"name": key, "size": size_text(size), "cache": cache} for key, size in volumes.items()]
        self.folder = folder or make_folder()
        self.config_path = os.path.join(self.folder, "node.json")
        self.log_path = os.path.join(self.folder, "log")
        self.socket_path = os.path.join(self.folder, "nbd.sock")
        listen = []
        if "unix" in transports:
            listen.append("unix:" + self.socket_path)
        if "tcp" in transports:
            listen.append("127.0.0.1:0")
        self.config = {"node": name, "data_dir": os.path.join(self.folder, "data"), "nbd": {"listen": listen},
                       "admin": {"listen": "127.0.0.1:0"}, "volumes": volumes}
        for key, value in (config or {}).items():
            if isinstance(value, dict) and isinstance(self.config.get(key), dict):
                self.config[key].update(value)
            else:
                self.config[key] = value
        self.process = None
        self.ready = {}
        self._log_start = 0
        self.write_config()

    @property
    def data_dir(self):
        return self.config["data_dir"]

    @property
    def pid(self):
        return self.process.pid

    def write_config(self):
        os.makedirs(self.folder, exist_ok=True)
        with open(self.config_path + ".new", "w") as file:
            json.dump(self.config, file, indent=2)
        os.replace(self.config_path + ".new", self.config_path)

    # --- life

    def start(self, limit=READY_LIMIT, **popen):
        """Starts it and returns self once the ready line has come. StartFailed."""
        self.launch(**popen)
        return self.wait_ready(limit)

    def launch(self, extra=(), **popen):
        """Starts the process without waiting for the ready line."""
        assert self.process is None or self.process.poll() is not None, "already running"
        log = open(self.log_path, "ab")
        self._log_start = log.tell()
        self.process = spawn([GNOMOND, "--config", self.config_path, *extra], stdout=log, stderr=subprocess.STDOUT,
                             stdin=subprocess.DEVNULL, **popen)
        log.close()

    def wait_ready(self, limit=READY_LIMIT):
        end = time.monotonic() + limit
        while True:
            line = re.search(r"^gnomond ready (.*)$", self.log(), re.M)
            if line:
                break
            if self.process.poll() is not None:
                raise StartFailed(f"gnomond ended with {self.process.returncode}", self.log(), self.process.returncode)
            if time.monotonic() > end:
                self.kill()
                raise StartFailed(f"no ready line within {limit} s", self.log(), None)
            time.sleep(0.005)
        self.ready = dict(part.split("=", 1) for part in line.group(1).split() if "=" in part)
        return self

    def stop(self, limit=STOP_LIMIT):
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(limit)
            except subprocess.TimeoutExpired:
                stacks = self.stacks()
                self.kill()
                raise AssertionError(f"gnomond did not stop within {limit} s of SIGTERM\n{stacks}{self.log()[-3000:]}")
        return self.process.returncode

    def kill(self):
        """SIGKILL; returns once it is gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def __enter__(self):
        return self if self.alive() else self.start()

    def __exit__(self, failed, *_):
        if failed:
            self.kill()
            print(f"--- log of {self.config['node']}\n{self.log()[-4000:]}", file=sys.stderr)
        elif self.alive():
            code = self.stop()
            assert code == 0, f"gnomond ended with {code}\n{self.log()[-3000:]}"

    # --- where it is

    def log(self):
        """What it wrote since the last start."""
        with open(self.log_path, "rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def tcp_address(self):
        for endpoint in self.ready["nbd"].split(","):
            if not endpoint.startswith("unix:"):
                host, port = endpoint.rsplit(":", 1)
                return host, int(port)
        raise AssertionError(f"no TCP endpoint in {self.ready}")

    def uri(self, export="", transport="unix"):
        if transport == "unix":
            return f"nbd+unix:///{export}?socket={self.socket_path}"
        return "nbd://%s:%d/%s" % (*self.tcp_address(), export)

    def connect(self, transport="unix"):
        """A plain connected socket to an NBD listener."""
        if transport == "unix":
            plain = socket.socket(socket.AF_UNIX)
            plain.connect(self.socket_path)
            return plain
        return socket.create_connection(self.tcp_address())

    # --- what it says about itself

    def cli(self, *arguments, check=True, limit=120):
        return run([GNOMON, "--config", self.config_path, *arguments], check=check, limit=limit)

    def cli_json(self, *arguments):
        # `status` exits with 1 when the node is unhealthy; its answer is whole all the same.
        return json.loads(self.cli("--json", *arguments, check=arguments[:1] != ("status",)).stdout)

    def http(self, path):
        with urllib.request.urlopen(f"http://{self.ready['admin']}{path}", timeout=60) as answer:
            return answer.read().decode()

    def metric(self, name):
        """Sum of a metric's samples over all labels; None when there is no such metric."""
        samples = re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? ([^ \n]+)", self.http("/metrics"), re.M)
        return sum(map(float, samples)) if samples else None

    def rss_bytes(self):
        with open(f"/proc/{self.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * KiB

    def fd_count(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_seconds(self):
        """User and system time of all its threads, ended ones included."""
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stacks(self):
        """Every thread's stack, for a message about a hang; empty where gdb is missing."""
        if shutil.which("gdb") is None:
            return ""
        return run(["gdb", "-p", str(self.pid), "-batch", "-ex", "thread apply all bt 14"], check=False).stdout[-6000:]
