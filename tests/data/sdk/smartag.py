"""The vendor's current Python SDK for the product. usage: smartag.py V1|V3; cases as in cases.py."""
import datetime, re, sys
from urllib.parse import parse_qsl
import cases
from alibabacloud_smartag20180313 import models
from alibabacloud_smartag20180313.client import Client
from alibabacloud_tea_openapi import exceptions, utils
from alibabacloud_tea_openapi.models import Config
from darabonba.request import DaraRequest

V1 = sys.argv[1] == "V1"
make_nonce = utils.Utils.get_nonce


def ask(case):
    def timestamp():
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=case["clock_off"])
        return now.strftime("%Y-%m-%dT%H:%M:%SZ")

    utils.Utils.get_nonce = staticmethod(lambda: case["nonce"] or make_nonce())
    if case["clock_off"]:
        utils.Utils.get_timestamp, kept = staticmethod(timestamp), utils.Utils.get_timestamp
    try:
        return answer(case)
    except exceptions.AlibabaCloudException as error:
        return cases.raised(error, error.code, error.status_code) | {"retry_after": error.retry_after}
    finally:
        if case["clock_off"]:
            utils.Utils.get_timestamp = staticmethod(kept)


def answer(case):
    config = Config(
        access_key_id=case["key_id"], access_key_secret=case["secret"], security_token=case["token"] or None,
        endpoint=case["endpoint"], protocol="http")
    if V1:
        config.signature_algorithm = "v2"
    client, common = Client(config), {"region_id": "cn-shanghai", "smart_agid": case["instance"] or None}
    if case["action"]:
        params = {"RegionId": "cn-shanghai", "SmartAGId": case["instance"]} | case["params"]
        request = getattr(models, case["action"] + "Request")().from_map(params)
        method = re.sub("(?<!^)(?=[A-Z])", "_", case["action"]).lower()
        return {"body": getattr(client, method)(request).body.to_map()}
    if case["clients_of"]:
        request = models.DescribeUserOnlineClientsRequest(user_name=case["clients_of"], **common)
        body = client.describe_user_online_clients(request).body
        return {"clients": [[user.client_ip, user.online_time] for user in body.users.user]}
    request = models.DescribeUserOnlineClientStatisticsRequest(user_names=case["names"], **common)
    body = client.describe_user_online_client_statistics(request).body
    return {"counts": [[one.user_name, one.online_count] for one in body.user_statistics.statistics]}


def sign(case):
    query, form = (dict(parse_qsl(case[key], keep_blank_values=True)) for key in ("query", "body"))
    if V1:
        params = {name: value for name, value in (query | form).items() if name != "Signature"}
        return {"signature": utils.Utils.get_rpcsignature(params, case["method"], case["secret"])}
    request = DaraRequest()
    request.method, request.pathname, request.query, request.headers = case["method"], "/", query, case["headers"]
    algorithm = "ACS3-HMAC-SHA256"
    payload = utils.Utils.hex_encode(utils.Utils.hash(case["body"].encode(), algorithm))
    return {"signature": utils.Utils.get_authorization(request, algorithm, payload, case["key_id"], case["secret"])}


cases.run(["alibabacloud-smartag20180313", "alibabacloud-tea-openapi", "darabonba-core"], ask, sign)
