"""What both Python drivers share: cases come as JSON lines on stdin, each is answered by one JSON line.

A case is {"ask": {...}}: make this request with the SDK and tell what it gave or raised; or {"sign": {...}}: sign this
request, made elsewhere, with the SDK's own code. The first line printed names the packages and their versions.
Nothing but the loopback is connected to, and after two minutes the process ends.
"""
import importlib.metadata, json, signal, sys

ACTION = "DescribeUserOnlineClientStatistics"


def loopback_only(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] != "127.0.0.1":
        raise RuntimeError(f"not the loopback: {args[1]}")
    if event == "socket.getaddrinfo" and args[0] not in ("127.0.0.1", "localhost"):
        raise RuntimeError(f"not the loopback: {args[0]}")


def run(packages, ask, sign):
    sys.addaudithook(loopback_only)
    signal.alarm(120)
    print(json.dumps({name: importlib.metadata.version(name) for name in packages}), flush=True)
    for line in sys.stdin:
        case = json.loads(line)
        answer = ask(case["ask"]) if "ask" in case else sign(case["sign"])
        print(json.dumps(answer), flush=True)


def raised(error, code, status):
    """What a caller of the SDK catches, by its class."""
    return {"raised": type(error).__name__, "code": code, "status": status}
