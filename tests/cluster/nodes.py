"""Nodes of a cluster for the cluster tests: each homes volumes of its own and is a gateway of all others'."""
import atexit
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../process"))
import node  # noqa: E402

SECRET = "the secret of a test cluster"


def free_ports(count):
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def cluster(volumes, lease="500ms", patience="10s", stage="1GiB", secret=SECRET, redirect="nearest", sections=None,
            delay_ms=None, **extra):
    """{node name: its volumes} -> {node name: Node}, not started; every node is a peer of every other. `sections` go
    into every node's configuration; with delay_ms a proxy stands between them, which delays each direction so much."""
    names = list(volumes)
    ports = dict(zip(names, zip(*[iter(free_ports(2 * len(names)))] * 2)))
    reached = dict(ports)
    if delay_ms is not None:
        reached = dict(zip(names, zip(*[iter(free_ports(2 * len(names)))] * 2)))
        delay(delay_ms, [pair for name in names for pair in zip(reached[name], ports[name])])
    nodes = {}
    for name in names:
        folder = node.make_folder()
        secret_path = os.path.join(folder, "secret")
        with open(os.open(secret_path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(secret)
        config = {"cluster": {"listen": f"127.0.0.1:{ports[name][0]}", "data_listen": f"127.0.0.1:{ports[name][1]}",
                              "secret_file": secret_path, "lease": lease, "patience": patience, "redirect": redirect,
                              "peers": [{"node": other, "address": f"127.0.0.1:{reached[other][0]}",
                                         "data_address": f"127.0.0.1:{reached[other][1]}"}
                                        for other in names if other != name], **extra}, **(sections or {}),
                  "stage": {"path": os.path.join(folder, "stage"), "capacity": stage}}
        os.mkdir(os.path.join(folder, "stage"))
        nodes[name] = node.Node(volumes[name], name=name, folder=folder, config=config)
    return nodes


def delay(milliseconds, pairs):
    """Runs examples/delay_proxy.py until this process ends."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/delay_proxy.py")
    process = subprocess.Popen([sys.executable, "-B", script, str(milliseconds), *(f"{a}:{b}" for a, b in pairs)])
    atexit.register(process.wait)
    atexit.register(process.kill)


def wait_for_sessions(nodes):
    for one in nodes.values():
        node.wait_until(lambda: all(p["session"] == "open" for p in peers(one)), 30,
                        f"sessions of {one.config['node']} are open")


def peers(one):
    return json.loads(one.cli("--json", "node", "ls").stdout)["peers"]


def shadow(one, volume):
    """What the gateway says of a volume of another node."""
    for entry in json.loads(one.cli("--json", "shadow", "ls").stdout):
        if entry["volume"] == volume:
            return entry
    return None


def wait_for_volume(one, volume):
    return node.wait_until(lambda: shadow(one, volume), 30, f"{volume} is known at {one.config['node']}")


def _run_child(function, arguments):
    code = 1
    try:
        function(*arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    os._exit(code) # nothing of the parent's is cleaned up here


def child(function, *arguments):
    """Runs a client in a process of its own: the nbd module holds Python's lock while it waits."""
    process = multiprocessing.get_context("fork").Process(target=_run_child, args=(function, arguments), daemon=True)
    process.start()
    return process


def pause(one):
    """SIGSTOP; returns once every thread of it stands still."""
    one.process.send_signal(signal.SIGSTOP)

    def stands_still():
        folder = f"/proc/{one.process.pid}/task"
        states = [open(f"{folder}/{task}/stat").read().rsplit(")", 1)[1].split()[0] for task in os.listdir(folder)]
        return all(state == "T" for state in states)
    node.wait_until(stands_still, 30, f"{one.config['node']} stands still", every=0.002)


def resume(one):
    one.process.send_signal(signal.SIGCONT)
