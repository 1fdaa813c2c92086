"""Mayfly's Python runtime: a client of the Lambda Runtime API that runs one handler.

It behaves as AWS's awslambdaric does (names, messages, log formats, JSON of errors) with nothing but the standard
library. Starting fast decides how much of that is imported: `logging` is set up when user code first imports it,
`json` and `traceback` are only loaded when something goes wrong, and HTTP is spoken over a bare socket.
"""

import builtins
import os
import sys
import time
from _socket import AF_INET, IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY, socket as _Socket

from mayfly_json import from_json, to_json

_env = os.environ
_OWN_FILES = ("/bootstrap.py", "/mayfly_runtime.py", "/mayfly_json.py")

_log_json = False
_log_level = ""
_request_id = None  # of the invocation at hand, for log lines


class FaultException(Exception):
    """An error of the platform's making, with its type and message as they are reported."""

    def __init__(self, exception_type, msg, trace=None):
        self.exception_type = exception_type
        self.msg = msg
        self.trace = trace


# ---------------------------------------------------------------- the context object


class _Record(object):
    """An object with fixed attributes that prints like awslambdaric's."""

    __slots__ = ()

    def __init__(self, values=None):
        for name in self.__slots__:
            setattr(self, name, (values or {}).get(name))

    def __repr__(self):
        return "%s([%s])" % (
            self.__class__.__name__,
            ",".join("%s=%s" % (name, getattr(self, name, None)) for name in self.__slots__),
        )


class CognitoIdentity(_Record):
    __slots__ = ["cognito_identity_id", "cognito_identity_pool_id"]


class Client(_Record):
    __slots__ = ["installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"]


class ClientContext(_Record):
    __slots__ = ["custom", "env", "client"]


class LambdaContext(object):
    def __init__(self, invoke_id, client_context, cognito_identity, epoch_deadline_time_in_ms, invoked_function_arn=None):
        self.aws_request_id = invoke_id
        self.log_group_name = _env.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = _env.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = _env.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = _env.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = _env.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = invoked_function_arn
        self.tenant_id = None
        self.client_context = None
        if client_context is not None:
            self.client_context = ClientContext(client_context)
            if self.client_context.client is not None:
                self.client_context.client = Client(self.client_context.client)
        identity = cognito_identity or {}
        self.identity = CognitoIdentity(
            {
                "cognito_identity_id": identity.get("cognitoIdentityId"),
                "cognito_identity_pool_id": identity.get("cognitoIdentityPoolId"),
            }
        )
        self._epoch_deadline_time_in_ms = epoch_deadline_time_in_ms

    def get_remaining_time_in_millis(self):
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def log(self, msg):
        sys.stdout.write(str(msg))

    def __repr__(self):
        return "LambdaContext([%s])" % ",".join(
            "%s=%s" % (name, getattr(self, name))
            for name in (
                "aws_request_id",
                "log_group_name",
                "log_stream_name",
                "function_name",
                "memory_limit_in_mb",
                "function_version",
                "invoked_function_arn",
                "client_context",
                "identity",
                "tenant_id",
            )
        )


def _make_context(headers):
    return LambdaContext(
        headers.get("lambda-runtime-aws-request-id"),
        _json_header(headers, "lambda-runtime-client-context", "Client Context"),
        _json_header(headers, "lambda-runtime-cognito-identity", "Cognito Identity"),
        int(headers.get("lambda-runtime-deadline-ms") or 0),
        headers.get("lambda-runtime-invoked-function-arn"),
    )


def _json_header(headers, key, name):
    value = headers.get(key)
    if not value:
        return None
    try:
        return from_json(value)
    except Exception as e:
        raise FaultException(
            "Runtime.LambdaContextUnmarshalError", "Unable to parse {} JSON: {}".format(name, str(e)), None
        )


# ---------------------------------------------------------------- logging


class Unbuffered(object):
    """A text stream that is flushed with every write, so that nothing is lost however the process ends."""

    def __init__(self, stream):
        self.stream = stream

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        pass

    def __getattr__(self, attr):
        return getattr(self.stream, attr)

    def write(self, msg):
        self.stream.write(msg)
        self.stream.flush()

    def writelines(self, msgs):
        self.stream.writelines(msgs)
        self.stream.flush()


class _LoggingHook(object):
    """Waits for the first `import logging` and then gives the root logger Lambda's handler."""

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                spec.loader = _LoggingLoader(spec.loader)
                return spec
        return None


class _LoggingLoader(object):
    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        import mayfly_logging

        mayfly_logging.setup(module, _log_json, _log_level, lambda: _request_id)


def _install_logging():
    if "logging" in sys.modules:
        import mayfly_logging

        mayfly_logging.setup(sys.modules["logging"], _log_json, _log_level, lambda: _request_id)
    else:
        sys.meta_path.insert(0, _LoggingHook())


# ---------------------------------------------------------------- errors


def _make_error(message, error_type, stack_trace, invoke_id=None):
    return {
        "errorMessage": message or "",
        "errorType": error_type or "",
        "requestId": invoke_id if invoke_id is not None else "",
        "stackTrace": stack_trace or [],
    }


def _user_frames(tb):
    """The frames of a traceback as tuples, without those of this runtime in front."""
    import traceback

    frames = [(f.filename, f.lineno, f.name, f.line) for f in traceback.extract_tb(tb)]
    for i, frame in enumerate(frames):
        if not frame[0].endswith(_OWN_FILES):
            return frames[i:]
    return frames


def _exception_error(invoke_id=None):
    """The error JSON of the exception at hand, and its frames."""
    import traceback

    etype, value, tb = sys.exc_info()
    frames = _user_frames(tb)
    return _make_error(str(value), etype.__name__, traceback.format_list(frames), invoke_id), frames


def _log_error(error):
    """Writes an error as one log line: its lines are joined by carriage returns, indented by no-break spaces."""
    if _log_json:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        sys.stdout.write(to_json(dict({"timestamp": stamp, "level": "ERROR"}, **error)) + "\n")
        return
    first = "[ERROR]"
    if error.get("errorType"):
        first += " " + error["errorType"]
    if error.get("errorMessage"):
        first += (": " if error.get("errorType") else " ") + error["errorMessage"]
    lines = [first]
    if error.get("stackTrace") is not None:
        lines.append("Traceback (most recent call last):")
        for element in error["stackTrace"]:
            for line in element.splitlines() or [""]:
                text = line.lstrip(" ")
                lines.append("\u00a0" * (len(line) - len(text)) + text)
    sys.stdout.write("\r".join(lines) + "\n")


def _xray_fault(error_type, message, frames):
    cause = {
        "working_directory": os.getcwd(),
        "exceptions": [
            {
                "message": message,
                "type": error_type,
                "stack": [{"label": f[2], "path": f[0], "line": f[1]} for f in frames],
            }
        ],
        "paths": list({f[0] for f in frames}),
    }
    # a header is latin-1 on one line; beyond 1 MB the official client leaves it out too
    import json

    text = json.dumps(cause)
    return text if len(text) < 1024 * 1024 else ""


# ---------------------------------------------------------------- the Runtime API


class RuntimeApi(object):
    """A keep-alive HTTP/1.1 client for one server that always says Content-Length."""

    NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n"

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.address = (host or "127.0.0.1", int(port))
        self.sock = None
        self.rest = b""  # read beyond the last response
        self.asked = False  # the request for the next event is already on its way

    def _connect(self):
        self.sock = _Socket(AF_INET, SOCK_STREAM)
        self.sock.connect(self.address)
        self.sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self.rest = b""

    def _drop(self):
        if self.sock is not None:
            self.sock.close()
        self.sock = None
        self.asked = False

    def _read(self):
        """Reads one response: status, headers with lower-case names, body."""
        data = self.rest
        recv = self.sock.recv
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                break
            chunk = recv(65536)
            if not chunk:
                raise EOFError("the Runtime API closed the connection")
            data += chunk
        lines = data[:end].decode("utf-8", "replace").split("\r\n")
        status = int(lines[0][9:12])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        start = end + 4
        size = int(headers.get("content-length") or 0)
        have = len(data) - start
        if have >= size:
            body = data[start : start + size]
            self.rest = data[start + size :]
        else:
            buffer = bytearray(size)
            view = memoryview(buffer)
            view[:have] = data[start:]
            while have < size:
                n = self.sock.recv_into(view[have:])
                if n == 0:
                    raise EOFError("the Runtime API closed the connection")
                have += n
            body = bytes(buffer)
            self.rest = b""
        if headers.get("connection") == "close":
            self._drop()
        return status, headers, body

    def next(self):
        """Waits for the next event. A broken connection is made anew once: the server hands the event out again."""
        for attempt in (1, 2):
            try:
                if not self.asked:
                    if self.sock is None:
                        self._connect()
                    self.sock.sendall(self.NEXT)
                self.asked = False
                status, headers, body = self._read()
                break
            except (OSError, EOFError):
                self._drop()
                if attempt == 2:
                    raise
        if status != 200:
            raise RuntimeError(
                "Failed to get next invocation: status %d, %s" % (status, body.decode("utf-8", "replace").strip())
            )
        return headers, body

    def post(self, path, body, content_type, headers="", what="", then_next=False):
        """Posts a body. With then_next the request for the next event goes out in the same write."""
        head = (
            "POST /2018-06-01/runtime/%s HTTP/1.1\r\nHost: runtime\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n"
            % (path, content_type, len(body), headers)
        ).encode("utf-8")
        tail = self.NEXT if then_next else b""
        if self.sock is None:
            self._connect()
        if len(body) < 65536:
            self.sock.sendall(head + body + tail)
        else:
            self.sock.sendall(head)
            self.sock.sendall(body)
            if tail:
                self.sock.sendall(tail)
        self.asked = then_next
        status, _, answer = self._read()
        if status != 202:
            sys.stderr.write(
                "[ERROR] [%s] LAMBDA_RUNTIME Failed to post %s. Http response code: %d. %s\n"
                % (_now_ms(), what, status, answer.decode("utf-8", "replace").strip())
            )


def _now_ms():
    return int(time.time() * 1000)


def _header(value):
    return str(value).replace("\r", " ").replace("\n", " ")


# ---------------------------------------------------------------- the handler


def _load_handler(handler):
    try:
        modname, fname = handler.rsplit(".", 1)
    except ValueError as e:
        raise FaultException("Runtime.MalformedHandlerName", "Bad handler '{}': {}".format(handler, str(e)))
    try:
        if modname.split(".")[0] in sys.builtin_module_names:
            raise FaultException(
                "Runtime.BuiltInModuleConflict", "Cannot use built-in module {} as a handler module".format(modname)
            )
        import importlib

        module = importlib.import_module(modname.replace("/", "."))
    except ImportError as e:
        raise FaultException("Runtime.ImportModuleError", "Unable to import module '{}': {}".format(modname, str(e)))
    except SyntaxError as e:
        trace = ['  File "%s" Line %s\n    %s' % (e.filename, e.lineno, e.text)]
        raise FaultException(
            "Runtime.UserCodeSyntaxError", "Syntax error in module '{}': {}".format(modname, str(e)), trace
        )
    try:
        return getattr(module, fname)
    except AttributeError:
        raise FaultException(
            "Runtime.HandlerNotFound", "Handler '{}' missing on module '{}'".format(fname, modname), None
        )


def _run_once(api, handler, headers, body):
    """Runs the handler on one event and reports what came of it."""
    invoke_id = headers.get("lambda-runtime-aws-request-id")
    try:
        context = _make_context(headers)
        event = body
        if headers.get("content-type") == "application/json":
            try:
                event = from_json(body)
            except Exception as e:
                raise FaultException("Runtime.UnmarshalError", "Unable to unmarshal input: {}".format(str(e)), None)
        result = handler(event, context)
        if isinstance(result, bytes):
            content_type = "application/unknown"
        else:
            content_type = "application/json"
            try:
                result = to_json(result).encode("utf-8")
            except Exception as e:
                raise FaultException("Runtime.MarshalError", "Unable to marshal response: {}".format(str(e)), None)
    except FaultException as e:
        error = _make_error(e.msg, e.exception_type, e.trace, invoke_id)
        cause = _xray_fault("LambdaValidationError", e.msg, [])
    except Exception:
        error, frames = _exception_error(invoke_id)
        cause = _xray_fault(error["errorType"], error["errorMessage"], frames)
    else:
        api.post(
            "invocation/%s/response" % invoke_id, result, content_type, what="handler success response", then_next=True
        )
        return
    _log_error(error)
    api.post(
        "invocation/%s/error" % invoke_id,
        to_json(error).encode("utf-8"),
        "application/json",
        "Lambda-Runtime-Function-Error-Type: %s\r\n" % _header(error["errorType"])
        + ("Lambda-Runtime-Function-XRay-Error-Cause: %s\r\n" % cause if cause else ""),
        what="handler error response",
        then_next=True,
    )


def _site_packages():
    """The interpreter's own package folders: it runs with -S, as `site` costs more than all of this file."""
    version = "python%d.%d" % sys.version_info[:2]
    dirs = [
        "/usr/local/lib/%s/dist-packages" % version if sys.base_prefix == "/usr" else "",
        os.path.join(sys.base_prefix, "lib", version, "site-packages"),
        "/usr/lib/python3/dist-packages" if sys.base_prefix == "/usr" else "",
    ]
    return [d for d in dirs if d and os.path.isdir(d)]


def _add_pth(folder, file):
    """Adds the folders that a .pth file names. Its lines of code are not run: they would slow every cold start down."""
    try:
        with open(file, encoding="utf-8", errors="replace") as f:
            lines = f.read().splitlines()
    except OSError:
        return
    for line in lines:
        line = line.strip()
        if line and not line.startswith(("#", "import ", "import\t")):
            path = os.path.join(folder, line)
            if path not in sys.path and os.path.exists(path):
                sys.path.append(path)


class _Quitter(object):
    """exit() and quit(), which `site` would have made."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return "Use %s() or Ctrl-D (i.e. EOF) to exit" % self.name

    def __call__(self, code=None):
        raise SystemExit(code)


def _set_path():
    """Orders sys.path as Lambda does: the function, layers, the interpreter's packages, this runtime, the library."""
    task = _env.get("LAMBDA_TASK_ROOT") or os.getcwd()
    own = os.path.dirname(os.path.abspath(__file__))
    version = "python%d.%d" % sys.version_info[:2]
    packages = _site_packages() if sys.flags.no_site else []
    front = [task, "/opt/python/lib/%s/site-packages" % version, "/opt/python"] + packages
    library = [p for p in sys.path if p not in front and p != own]
    extra = [p for p in (_env.get("PYTHONPATH") or "").split(os.pathsep) if p and p != own and p not in front]
    sys.path[:] = front[:1] + extra + front[1:] + [own] + [p for p in library if p not in extra]
    for folder in packages:
        for name in sorted(os.listdir(folder)):
            if name.endswith(".pth"):
                _add_pth(folder, os.path.join(folder, name))
    if sys.flags.no_site:
        for name in ("exit", "quit"):
            if not hasattr(builtins, name):
                setattr(builtins, name, _Quitter(name))


def _wait():
    """Waits for the function that this process runs, and returns a client that is connected already."""
    api = RuntimeApi(_env["AWS_LAMBDA_RUNTIME_API"])
    try:
        api._connect()
    except OSError:
        api._drop()
    import mayfly_shell

    mayfly_shell.wait()
    return api if RuntimeApi(_env["AWS_LAMBDA_RUNTIME_API"]).address == api.address else None


def main():
    global _log_json, _log_level, _request_id
    api = None
    if "_HANDLER" not in _env:
        api = _wait()
    _log_json = (_env.get("AWS_LAMBDA_LOG_FORMAT") or "").upper() == "JSON"
    _log_level = (_env.get("AWS_LAMBDA_LOG_LEVEL") or "").upper().replace("TRACE", "DEBUG")
    _set_path()
    sys.argv = sys.argv[:1]
    sys.stdout = Unbuffered(sys.stdout)
    sys.stderr = Unbuffered(sys.stderr)
    if api is None:
        api = RuntimeApi(_env["AWS_LAMBDA_RUNTIME_API"])
    error = None
    try:
        _install_logging()
        handler = _load_handler(_env.get("_HANDLER") or "")
    except FaultException as e:
        error = _make_error(e.msg, e.exception_type, e.trace)
    except Exception:
        error, _ = _exception_error()
    if error is not None:
        _log_error(error)
        api.post(
            "init/error",
            to_json(error).encode("utf-8"),
            "application/json",
            "Lambda-Runtime-Function-Error-Type: %s\r\n" % _header(error["errorType"]),
            what="init error",
        )
        sys.exit(1)
    while True:
        headers, body = api.next()
        _request_id = headers.get("lambda-runtime-aws-request-id")
        trace_id = headers.get("lambda-runtime-trace-id")
        if trace_id is not None:
            _env["_X_AMZN_TRACE_ID"] = trace_id
        elif "_X_AMZN_TRACE_ID" in _env:
            del _env["_X_AMZN_TRACE_ID"]
        _run_once(api, handler, headers, body)
