"""The vendor's older Python core, which knows no product. usage: core.py; cases as in cases.py.

Names are put in one by one: in the package that goes with this core the setter for them is empty.
"""
import json, time
from urllib.parse import parse_qsl
from xml.etree import ElementTree
import cases
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.auth.composer import rpc_signature_composer as composer
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import RpcRequest
from aliyunsdkcore.utils import parameter_helper

make_nonce, make_date = parameter_helper.get_uuid, parameter_helper.get_iso_8061_date


def ask(case):
    def timestamp():
        return time.strftime(parameter_helper.FORMAT_ISO_8601, time.gmtime(time.time() + case["clock_off"]))

    parameter_helper.get_uuid = lambda: case["nonce"] or make_nonce()
    parameter_helper.get_iso_8061_date = timestamp if case["clock_off"] else make_date
    host, port = case["endpoint"].split(":")
    keys = [case["key_id"], case["secret"]]
    credential = StsTokenCredential(*keys, case["token"]) if case["token"] else None
    client = AcsClient(*(keys if credential is None else (None, None)), "cn-shanghai", credential=credential, port=int(port))
    request = RpcRequest("Smartag", "2018-03-13", cases.ACTION)
    request.set_endpoint(host)
    request.set_method(case["method"])
    if case["clients_of"]:
        request.set_action_name("DescribeUserOnlineClients")
        request.add_query_param("UserName", case["clients_of"])
    if case["instance"]:
        request.add_query_param("SmartAGId", case["instance"])
    if case["action"]:
        request.set_action_name(case["action"])
        for name, value in case["params"].items():
            pairs = enumerate(value, 1) if isinstance(value, list) else []
            for key, one in [(f"{name}.{n}", one) for n, one in pairs] or [(name, value)]:
                request.add_query_param(key, one)
    for number, name in enumerate(case["names"], 1):
        request.add_query_param(f"UserNames.{number}", name)
    if case["format"] == "XML":
        return of_xml(client, request)
    try:
        body = json.loads(client.do_action_with_exception(request))
    except (ClientException, ServerException) as error:
        status = getattr(error, "get_http_status", lambda: None)()
        return cases.raised(error, error.get_error_code(), status)
    if case["action"]:
        return {"body": body}
    if case["clients_of"]:
        return {"clients": [[user["ClientIp"], user["OnlineTime"]] for user in body["Users"]["User"]]}
    return {"counts": [[one["UserName"], one["OnlineCount"]] for one in body["UserStatistics"]["Statistics"]]}


def of_xml(client, request):
    """The core hands XML over as it came and raises nothing."""
    request.set_accept_format("XML")
    root = ElementTree.fromstring(client.do_action(request))
    if root.tag == "Error":
        return {"raised": root.tag, "code": root.findtext("Code"), "status": None}
    assert root.tag == cases.ACTION + "Response", root.tag
    rows = root.findall("UserStatistics/Statistics")
    return {"counts": [[row.findtext("UserName"), row.findtext("OnlineCount")] for row in rows]}


def sign(case):
    pairs = parse_qsl(case["query"], keep_blank_values=True) + parse_qsl(case["body"], keep_blank_values=True)
    params = {name: value for name, value in pairs if name != "Signature"}
    # Both are private to their module, and all there is between parameters and signature.
    string_to_sign = getattr(composer, "__compose_string_to_sign")(case["method"], params)
    return {"signature": getattr(composer, "__get_signature")(string_to_sign, case["secret"])}


cases.run(["aliyun-python-sdk-core"], ask, sign)
