"""HTTP to Steward's own server: never through a proxy, whatever the environment names."""

import urllib.request
from http.client import HTTPResponse


def open_local(request: urllib.request.Request | str, timeout_s: float) -> HTTPResponse:
    """The answer of our own server.

    Raises:
        OSError: nobody answers; `urllib.error.HTTPError`, one of its kinds, for an answer of 400 and above.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    answer: HTTPResponse = opener.open(request, timeout=timeout_s)
    return answer
