"""Calls AWS KMS with boto3: one JSON request a line in, one answer a line out."""

import base64
import json
import sys

import boto3
import botocore.exceptions
from botocore.config import Config

CLIENTS = {}


def client(access):
    key = json.dumps(access, sort_keys=True)
    if key not in CLIENTS:
        CLIENTS[key] = boto3.client(
            "kms",
            endpoint_url=access["url"],
            region_name=access["region"],
            aws_access_key_id=access["id"],
            aws_secret_access_key=access["secret"],
            aws_session_token=access["token"] or None,
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )
    return CLIENTS[key]


def method(op):
    return "".join("_" + c.lower() if c.isupper() else c for c in op).lstrip("_")


def shown(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat()


def perform(request):
    kms = client(request["access"])
    members = dict(request["members"])
    for name, value in request["blobs"].items():
        members[name] = base64.b64decode(value)
    size = members.pop("PageSize", None)
    if size is not None:
        pages = kms.get_paginator(method(request["op"])).paginate(PaginationConfig={"PageSize": size}, **members)
        return pages.build_full_result()
    answer = getattr(kms, method(request["op"]))(**members)
    metadata = answer.pop("ResponseMetadata")
    if not metadata["RequestId"] or metadata["RetryAttempts"] != 0:
        raise AssertionError("response metadata %s" % metadata)
    return answer


for line in sys.stdin:
    try:
        reply = {"result": perform(json.loads(line))}
    except botocore.exceptions.ClientError as e:
        error = e.response["Error"]
        reply = {"code": error["Code"], "message": error.get("Message", ""), "class": type(e).__name__}
    except botocore.exceptions.ParamValidationError as e:
        too_old = "Unknown parameter in input" in str(e)
        reply = {"code": "client too old", "message": str(e)} if too_old else {"bug": str(e)}
    except Exception as e:
        reply = {"bug": "%s: %s" % (type(e).__name__, e)}
    print(json.dumps(reply, default=shown), flush=True)
