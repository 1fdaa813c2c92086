import os
import sys
import time


def link(fd):
    try:
        return os.readlink("/proc/self/fd/" + fd)
    except OSError:
        return ""  # of the listing itself


def handler(event, context):
    """What a function can see of the process it runs in."""
    import builtins
    import logging

    return {
        "argv": sys.argv,
        "env": dict(os.environ),
        "cwd": os.getcwd(),
        "zone": time.timezone,
        "path": sys.path,
        "builtins": sorted(vars(builtins)),
        "handlers": len(logging.getLogger().handlers),
        "finders": [str(f) for f in sys.meta_path if "Hook" not in str(f)],
        "stdin": link("0"),
        "sockets": len([fd for fd in os.listdir("/proc/self/fd") if link(fd).startswith("socket:")]),
    }
