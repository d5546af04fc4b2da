"""A client of the HTTP API with the standard library only: python3 client.py http://127.0.0.1:8080 KEY"""

import http.client
import json
import sys
import time
import urllib.parse

BASE, KEY = sys.argv[1:3]


class Refused(Exception):
    """The answer is a problem; its code says which one."""

    def __init__(self, problem):
        super().__init__(f"{problem['code']}: {problem['detail']}")
        self.problem = problem


CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


def connect():
    url = urllib.parse.urlsplit(BASE)
    return CONNECTIONS[url.scheme](url.netloc, timeout=30)


def call(method, path, body=None, idempotency_key=None, attempts=5):
    """Repeats what may be repeated. With an idempotency key, it counts once, whatever happened before."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    if idempotency_key is not None:
        headers["Idempotency-Key"] = json.dumps(idempotency_key)
    for attempt in range(attempts):
        try:
            connection = connect()
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
            connection.close()
        except (OSError, http.client.HTTPException, ValueError):
            # No whole answer came, or a balancer's page: the request may have been applied, or not.
            if attempt + 1 == attempts or (method != "GET" and idempotency_key is None):
                raise
            time.sleep(2**attempt / 10)
            continue
        if response.status < 400:
            return answer
        safe = answer["applied"] == "no" or idempotency_key is not None
        if not (answer["retryable"] and safe) or attempt + 1 == attempts:
            raise Refused(answer)
        time.sleep(float(response.getheader("Retry-After", "1")))


def send_lines(lines, run):
    """Sends any number of updates as NDJSON. Returns the last line of the answer, and the refused lines."""
    connection = connect()
    headers = {
        "Authorization": f"Bearer {KEY}",
        "Content-Type": "application/x-ndjson",
        "Idempotency-Key": json.dumps(run),
    }
    body = (json.dumps(line).encode() + b"\n" for line in lines)
    connection.request("POST", "/v1/updates", body, headers, encode_chunked=True)
    response = connection.getresponse()
    text = response.read()
    if response.status >= 400:
        raise Refused(json.loads(text))
    answers = [json.loads(line) for line in text.splitlines()]
    if not answers or not answers[-1].get("done"):
        raise RuntimeError("the answer has no last line; send it all again with the same run")
    return answers[-1], answers[:-1]


def query(**values):
    return urllib.parse.urlencode(values, doseq=True)


first = call("POST", "/v1/counters/page_views", {"key": "/python/ä?b", "by": 3}, idempotency_key="py-1")
second = call("POST", "/v1/counters/page_views", {"key": "/python/ä?b", "by": 3}, idempotency_key="py-1")
values = call("GET", "/v1/counters/page_views?" + query(key=["/python/ä?b", "none"]))

call("POST", "/v1/points/loyalty/entries", {"account": "grace", "amount": 10}, idempotency_key="order-1")
try:
    call("POST", "/v1/points/loyalty/entries", {"account": "grace", "amount": -11}, idempotency_key="order-2")
    refused = None
except Refused as error:
    refused = error.problem["code"]
balance = call("GET", "/v1/points/loyalty/balance?" + query(account="grace"))
history = call("GET", "/v1/points/loyalty/entries?" + query(account="grace", limit=10))

updates = [{"counter": "page_views", "key": f"/bulk/{n % 3}"} for n in range(3000)] + [{"counter": "nope", "key": "x"}]
last, refusals = send_lines(iter(updates), "py-run")
again, _ = send_lines(iter(updates), "py-run")
bulk = call("GET", "/v1/counters/page_views?" + query(key=[f"/bulk/{n}" for n in range(3)]))

print(
    json.dumps(
        {
            "duplicates": [first["duplicate"], second["duplicate"]],
            "values": values["values"],
            "refused": refused,
            "balance": balance["balance"],
            "history": [entry["id"] for entry in history["entries"]],
            "last": last,
            "refusals": [[one["line"], one["error"]["code"]] for one in refusals],
            "again": again,
            "bulk": bulk["values"],
        }
    )
)
