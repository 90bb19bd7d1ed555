"""A reference to audio that lies in an object store: the claim check of the request's JSON form.

Pure. Holds no address of a store: that is the operator's, never the caller's.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

SCHEME: Final = "s3://"
LONGEST_BUCKET: Final = 63
LONGEST_KEY: Final = 1024  # bytes of UTF-8, as in S3 itself
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class NoReference(ValueError):
    """The value names no object; the message is what is wrong, without quoting it."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One object: a bucket's name and a key in it. The operator's list decides whether it may be read."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


class ObjectName(BaseModel):
    """Bucket and key, as an object."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, strict=True)

    bucket: Annotated[str, Field(min_length=1, max_length=LONGEST_BUCKET)] = Field(
        description="The bucket's name, without an address."
    )
    key: Annotated[str, Field(min_length=1, max_length=LONGEST_KEY)] = Field(
        description="The object's key, not percent-encoded."
    )


AudioRef = Annotated[str, Field(min_length=1, max_length=len(SCHEME) + LONGEST_BUCKET + 1 + LONGEST_KEY)] | ObjectName
"""The two ways to write a reference: `s3://bucket/key`, or an object with both names."""


def is_bucket(name: str) -> bool:
    """Whether this can be a bucket's name."""
    return _BUCKET.fullmatch(name) is not None


def of(given: AudioRef) -> Reference:
    """Read a reference. Raises `NoReference` for any other scheme, a name that no bucket has, and keys that climb."""
    if isinstance(given, str):
        if not given.startswith(SCHEME):
            raise NoReference(
                "a reference is s3://bucket/key, in the store that this daemon's operator has set up; no other address "
                "is opened"
            )
        bucket, _, key = given.removeprefix(SCHEME).partition("/")
    else:
        bucket, key = given.bucket, given.key
    if not is_bucket(bucket):
        raise NoReference("the bucket's name is 3 to 63 small letters, digits, dots and hyphens")
    if not key or not key.isprintable() or len(key.encode()) > LONGEST_KEY:
        raise NoReference(f"the key is 1 to {LONGEST_KEY} bytes of printable text")
    if {"", ".", ".."} & set(key.split("/")):  # on its way through URLs such a path may become another one
        raise NoReference("the key has an empty part, or one that is `.` or `..`")
    return Reference(bucket, key)
