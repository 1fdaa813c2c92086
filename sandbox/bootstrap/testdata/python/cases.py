import collections
import datetime
import decimal
import logging
import os
import sys

Point = collections.namedtuple("Point", "x y")


def hello(event, context):
    return {"hello": event["name"], "id": context.aws_request_id}


def echo(event, context):
    return event


def nothing(event, context):
    pass


def raw(event, context):
    return b"\x00raw\xff"


def values(event, context):
    return {
        "decimal": decimal.Decimal("1.10"),
        "decimals": [decimal.Decimal("10"), {"x": decimal.Decimal("-0.5E+3")}],
        "nan": float("nan"),
        "decimal nan": decimal.Decimal("NaN"),
        "tuple": (1, 2.5, None, True),
        "named": Point(1, Point(2, "3")),
        "list": [Point(4, 5)],
        1: "int key",
        None: "none key",
        True: "bool key",
        "text": "wörld \u2028 \U0001f600 \x7f \" \\ </script>",
    }


def unserializable(event, context):
    return {"when": datetime.date(2020, 1, 1)}


def unserializable_key(event, context):
    return {(1, 2): 3}


def circular(event, context):
    a = []
    a.append(a)
    return a


def a_set(event, context):
    return {1, 2}


def deeper():
    raise ValueError("deep\ntwo lines")


def raises(event, context):
    deeper()


class CustomError(Exception):
    def __str__(self):
        return "custom " + repr(self.args)


def raises_custom(event, context):
    try:
        deeper()
    except ValueError as e:
        raise CustomError(1, "a") from e


def raises_empty(event, context):
    raise KeyError()


def raises_unicode(event, context):
    raise ValueError("wörld \U0001f600")


def exits(event, context):
    sys.exit(5)


def exits_zero(event, context):
    sys.exit(0)


def quits(event, context):
    exit("with a message")


def os_exits(event, context):
    os._exit(9)


def system_exit_text(event, context):
    raise SystemExit("last words")


def context_values(event, context):
    left = context.get_remaining_time_in_millis()
    values = {
        name: getattr(context, name)
        for name in (
            "aws_request_id log_group_name log_stream_name function_name memory_limit_in_mb function_version "
            "invoked_function_arn tenant_id"
        ).split()
    }
    identity, client = context.identity, context.client_context
    values["left"] = 50000 < left <= 60000 and isinstance(left, int)
    values["identity"] = [identity.cognito_identity_id, identity.cognito_identity_pool_id]
    values["client"] = None if client is None else [client.custom, client.env, client.client and client.client.app_title]
    values["repr"] = repr(context)
    return values


def environment(event, context):
    names = "_X_AMZN_TRACE_ID _HANDLER AWS_LAMBDA_FUNCTION_NAME AWS_EXECUTION_ENV TZ LANG".split()
    return [os.environ.get(n) for n in names]


def prints(event, context):
    print("printed", "twice")
    print("no newline", end="")
    print()
    print("to stderr", file=sys.stderr)
    sys.stdout.write("written\n")
    context.log("context.log\n")


logger = logging.getLogger("my.logger")


def logs(event, context):
    root = logging.getLogger()
    root.warning("a warning")
    root.info("not shown at the default level")
    root.error("an error: %s", "formatted")
    logger.critical("critical\ntwo lines")
    root.setLevel("INFO")
    root.info("shown now")
    root.setLevel("WARNING")
    try:
        deeper()
    except ValueError:
        logger.exception("with a traceback")


def logs_json(event, context):
    logger.warning("a warning with %d arguments", 2)
    logger.warning("extra", extra={"order": 5, "nested": {"a": decimal.Decimal("1.5")}})
    logger.error({"structured": True, "when": datetime.date(2020, 1, 1)})
    logger.debug("debug")
    logger.info("info")
    try:
        deeper()
    except ValueError:
        logger.exception("with a traceback")


def path(event, context):
    return [p for p in sys.path if p.startswith(("/opt", os.environ["LAMBDA_TASK_ROOT"]))]


value = 42


def sized(event, context):
    return "x" * (len(event) if isinstance(event, str) else event["size"])
