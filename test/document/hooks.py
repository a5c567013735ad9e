"""What OpenAPI 3.0 has no words for, and the document says in a sentence: requests that break it are not made."""

import re

import schemathesis

TOKEN = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$")
RESERVED = re.compile(
    r"^(host|connection|transfer-encoding|te|trailer|upgrade|expect|user-agent|content-.*|webhook-.*|proxy-.*)$",
    re.IGNORECASE,
)


def is_sendable(headers) -> bool:
    """Names of header fields, each once, and no value that stands for one that is not there."""
    names = [name.lower() for name in headers]
    return (
        len(set(names)) == len(names)
        and all(TOKEN.match(name) and not RESERVED.match(name) for name in headers)
        and all(value != "***" for value in headers.values())
        and sum(len(name) + len(str(value)) for name, value in headers.items()) <= 4096
    )


@schemathesis.hook
def filter_body(context, body) -> bool:
    if not isinstance(body, dict):
        return True
    headers = body.get("headers")
    if isinstance(headers, dict) and not is_sendable(headers):
        return False
    # `since` is before `until`, which is now where it is left out.
    since = body.get("since")
    return not isinstance(since, str) or ("until" not in body and since[:4] < "2026")
