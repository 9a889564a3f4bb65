"""What can go wrong with a server, and how that is said: in one sentence, without the key."""

import re

from openai import APIConnectionError, APITimeoutError

from tema_lib.llm.address import server_key

# A field that a server does not know, or a value that it does not take, by the words seen so far.
UNWANTED = re.compile(
    r"unsupported|not support|extra|forbidden|unknown|unrecogni[sz]ed|unexpected|not permitted|"
    r"not allowed|deprecated|invalid (?:field|parameter|argument|property)|additional propert",
    re.IGNORECASE,
)
# With these a server may refuse one prompt (its content, its length), or every request.
ITEMS_OWN = (400, 403, 413, 422)
# What reading a web page raises, or an error that was sent with status 200.
ODD = (AttributeError, IndexError, TypeError, ValueError)


class Refused(Exception):
    """No reply, perhaps because of this prompt: `reason` to keep if so, `error` to raise if not.

    lasting: False where another try, after the server was set right, may do better.
    """

    def __init__(self, error: Exception, reason: str, lasting: bool = True) -> None:
        super().__init__(reason)
        self.error = error
        self.reason = reason
        self.lasting = lasting


def server_said(error: Exception | str, url: str) -> str:
    """What the server says, on one line and without the key, which it might repeat."""
    return " ".join(str(error).replace(server_key(url) or "\0", "***").split())[:300]


def no_reply(error: Exception | str, model: str, url: str, timeout: float) -> ConnectionError:
    """What happened and what to do, in one sentence."""
    status = getattr(error, "status_code", None)
    if isinstance(error, APITimeoutError):
        what = f"no answer within {timeout:g} s"
    elif isinstance(error, APIConnectionError):
        what = f"no connection, {error.__cause__}"
    else:
        what = str(error)
    if status in (401, 403):
        remedy = "put a valid key into the environment variable TEMA_API_KEY"
    elif status in (400, 422):
        remedy = (
            "check the model's name, and the fields of the request: --request FIELD= takes one "
            "away, --request FIELD=VALUE sets it,"
        )
    else:
        remedy = "check the server and the model's name"
    return ConnectionError(
        f"No reply from {model} at {url} ({server_said(what, url)}): {remedy} and run again; "
        "replies so far are kept."
    )
