"""How an object store is reached: its URL, the settings of the connection, and its refusals in one line each.

Credentials come from the environment of the process, as each store's own tools read them, and go nowhere from there:
answers of a store may repeat parts of what was sent, so none of them is ever shown.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ganmodel.errors import SpecError
from jobs.target import TargetError, Throttled

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMES = ("s3", "gs", "az")

ENDPOINT_VARIABLES = (
    "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "GOOGLE_BASE_URL", "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT",
)  # fmt: skip
"""Where the store answers, when that is not its cloud's own address."""

PLACE_VARIABLES = (
    *ENDPOINT_VARIABLES, "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "AZURE_STORAGE_ACCOUNT_NAME",
)  # fmt: skip
"""What says which store a URL means, and no more: these may travel with a job, credentials never."""

CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "set GOOGLE_SERVICE_ACCOUNT to the path of a key file",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""The plainest way to give credentials; roles of machines, pods and containers are found by themselves."""

REQUEST_TIMEOUT = timedelta(minutes=5)
"""Of one request, body included: 64 MiB take that long at 0.2 MB/s."""

RETRIES = {
    "max_retries": 10,
    "retry_timeout": timedelta(minutes=3),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=15), "base": 2},
}
"""Ten retries, about a minute of waiting in all, for what passes: 5xx, SlowDown, connections that break."""

_SEGMENT = re.compile(r"[A-Za-z0-9!_.*'()=+@,-]+")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")

_NO_BUCKET = r"NoSuchBucket|ContainerNotFound|bucket does not exist"

_THROTTLED = r"SlowDown|TooManyRequests|ServerBusy|status code: (?:503|429)"

_REASONS = (
    (_NO_BUCKET, "there is no such bucket", "create it"),
    (r"RequestTimeTooSkewed", "this machine's clock is far from the store's", "set the clock"),
    (
        r"169\.254\.169\.254|metadata\.google\.internal|fd00:ec2",
        "no credentials were found in the environment",
        "{credentials} where the command and its workers run",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|status code: 401",
        "the store does not accept the credentials{code}",
        "{credentials} anew",
    ),
    (
        r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|without LOCATION",
        "the bucket is in another region{code}",
        "set AWS_REGION to the bucket's",
    ),
    (
        r"status code: 403",
        "access is denied{code}",
        "grant the credentials {rights} there",
    ),
    (
        _THROTTLED,
        "the store has been throttling us for too long{code}",
        "wait a while, or ask for fewer --workers",
    ),
    (
        r"QuotaExceeded|StorageFull|InsufficientStorage|status code: 507",
        "the store is full{code}",
        "make room there",
    ),
    (
        r"not yet implemented|NotImplemented|status code: 501",
        "the store lacks an operation that is needed: creation of an object only where there is none (If-None-Match)",
        "choose a store that has it",
    ),
    (r"status code: 5\d\d", "the store keeps failing{code}", "see that it is well"),
    (
        r"HTTP error|error sending request|timed out",
        "the store cannot be reached",
        "see the network and the endpoint",
    ),
)


@dataclass(frozen=True, slots=True)
class ObjectUrl:
    """A place in an object store: a data set's, a model's.

    Attributes:
        scheme: s3, gs or az.
        bucket: or container.
        prefix: of every object's name, without slashes at its ends; may be empty.
        option: what named it; every message begins with it. What another than `--out` names is only read.
    """

    scheme: str
    bucket: str
    prefix: str
    option: str = "--out"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")


def parse_object_url(url: str, option: str = "--out") -> ObjectUrl:
    """Return what `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix` says.

    Raises:
        SpecError: it is malformed, or has a user, a password or a query in it.
    """
    scheme, _, rest = url.partition("://")
    if any(sign in rest for sign in "?#") or "@" in rest.partition("/")[0]:  # may hold a secret: not repeated
        raise SpecError(
            f"{option} {scheme}://...: takes no user, password or query; give credentials in the environment"
        )
    bucket, _, prefix = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise SpecError(f"{option} {url}: needs a bucket, as in {scheme}://bucket/folder")
    prefix = prefix.rstrip("/")
    for segment in prefix.split("/") if prefix else ():
        if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
            raise SpecError(
                f"{option} {url}: '{segment}' cannot be part of a name; use letters, digits and any of !_.*'()=+@,-"
            )
    return ObjectUrl(scheme, bucket, prefix, option)


def connect(url: ObjectUrl, retries: dict[str, Any] | None = None) -> Any:
    """Return an `obstore` store of the objects below a URL; nothing is sent yet.

    Args:
        url: the place.
        retries: `obstore.store.RetryConfig`; None takes `RETRIES`.

    Raises:
        SpecError: the environment's settings cannot be used.
    """
    from obstore.exceptions import BaseError
    from obstore.store import AzureStore, GCSStore, S3Store

    endpoints = [os.environ[name] for name in ENDPOINT_VARIABLES if os.environ.get(name)]
    for name in ENDPOINT_VARIABLES:
        if "@" in os.environ.get(name, ""):
            raise SpecError(f"{name}: takes a URL without a user or password in it")
    options: dict[str, Any] = {"timeout": REQUEST_TIMEOUT}
    # TLS is left out only for an endpoint that was itself written with http.
    if any(urlsplit(endpoint).scheme == "http" for endpoint in endpoints):
        options["allow_http"] = True
    kind = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[url.scheme]
    try:
        return kind(
            url.bucket, prefix=url.prefix or None, client_options=options, retry_config=retries or RETRIES
        )
    except (BaseError, ValueError, OSError) as err:
        # The text may quote a setting; its kind says enough.
        raise SpecError(
            f"{url.option} {url}: the settings in the environment cannot be used ({type(err).__name__}); "
            f"{CREDENTIALS[url.scheme]}"
        ) from None


def is_missing_bucket(err: FileNotFoundError) -> bool:
    """Return whether it was not only the object that a store did not find."""
    return re.search(_NO_BUCKET, str(err)) is not None


@contextmanager
def refusals(url: ObjectUrl) -> Iterator[None]:
    """Turn what a store still refuses after all retries into one clear line.

    Objects that are not there (FileNotFoundError) and those that are there already (AlreadyExistsError) pass.

    Raises:
        Throttled: it throttles us for too long.
        TargetError: no credentials, wrong ones, no bucket, out of reach.
    """
    from obstore.exceptions import AlreadyExistsError, BaseError

    try:
        yield
    except AlreadyExistsError:
        raise
    except (BaseError, NotImplementedError, FileNotFoundError) as err:
        if isinstance(err, FileNotFoundError) and not is_missing_bucket(err):
            raise
        # Without `from`: a traceback would show the store's answer, and with it what it repeats of ours.
        refusal = Throttled if re.search(_THROTTLED, str(err)) else TargetError
        raise refusal(_line(url, type(err).__name__, str(err))) from None


def _line(url: ObjectUrl, kind: str, text: str) -> str:
    code = re.search(r"<Code>(\w{1,60})</Code>", text) or re.search(r"status code: (\d{3})", text)
    shown = f" ({code[1]})" if code else ""
    reason, cure = f"the store refused{shown or f' ({kind})'}", "see that it is well"
    for pattern, known_reason, known_cure in _REASONS:
        if re.search(pattern, text):
            reason, cure = known_reason.format(code=shown), known_cure
            break
    is_read = url.option != "--out"
    rights = "read and list" if is_read else "read, write, list and delete"
    cure = cure.format(credentials=CREDENTIALS[url.scheme], rights=rights)
    kept = "" if is_read else "what is committed is kept: "
    return f"{url.option} {url}: {reason}; {kept}{cure}, then run the same command again"
