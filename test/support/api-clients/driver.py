"""Makes the calls that standard input lists, and prints what each gives back, as JSON lines."""

import dataclasses
import json
import sys

from armorhooks import IndigiArmor

base_url, calls = sys.argv[1], json.load(sys.stdin)
armor = IndigiArmor("ia_sk_" + "0123456789abcdef" * 3, base_url=base_url)


def plain(value):
    if dataclasses.is_dataclass(value):
        return {name.rstrip("_"): plain(getattr(value, name)) for name in vars(value)}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


for call in calls:
    answer = getattr(armor, call["method"])(*call["positional"], **call["named"])
    print(json.dumps(plain(next(answer) if call["method"] == "stream" else answer)))
