// The vendor's Node core. usage: node pop.js; cases as in cases.py. NODE_PATH says where the packages are.
"use strict";
const dns = require("dns");
dns.lookup = (host) => { throw new Error(`not the loopback: ${host}`); };
setTimeout(() => process.exit(3), 120000).unref();
const httpx = require("httpx");
const kitx = require("kitx");
const RPCClient = require("@alicloud/pop-core").RPCClient;

const [RealDate, makeNonce, send] = [Date, kitx.makeNonce, httpx.request];

/** Runs with a clock that reads as `now()` says and, if given, this nonce. */
async function within(now, nonce, run) {
  global.Date = class extends RealDate {
    constructor(...given) { given.length ? super(...given) : super(now()); }
  };
  kitx.makeNonce = () => nonce || makeNonce();
  try {
    return await run();
  } finally {
    [global.Date, kitx.makeNonce, httpx.request] = [RealDate, makeNonce, send];
  }
}

const client = (endpoint, keyId, secret, token) => new RPCClient({
  endpoint: `http://${endpoint}`, apiVersion: "2018-03-13", accessKeyId: keyId, accessKeySecret: secret,
  securityToken: token || undefined,
});

async function ask(it) {
  const params = { RegionId: "cn-shanghai", UserNames: it.names };
  if (it.instance) params.SmartAGId = it.instance;
  if (it.clients_of) params.UserName = it.clients_of;
  const usual = it.clients_of ? "DescribeUserOnlineClients" : "DescribeUserOnlineClientStatistics";
  const action = it.action || usual;
  Object.assign(params, it.params);
  const caller = client(it.endpoint, it.key_id, it.secret, it.token);
  try {
    const now = () => RealDate.now() + it.clock_off * 1000;
    const reply = await within(now, it.nonce, () => caller.request(action, params, { method: it.method }));
    if (it.action) return { body: reply };
    if (it.clients_of) return { clients: reply.Users.User.map((one) => [one.ClientIp, one.OnlineTime]) };
    return { counts: reply.UserStatistics.Statistics.map((one) => [one.UserName, one.OnlineCount]) };
  } catch (error) {
    if (!error.entry) throw error;
    return { raised: error.name, code: error.code, status: error.entry.response.statusCode };
  }
}

/** The core signs on its way to sending; there the request is caught and its signature taken. */
async function sign(it) {
  const { Action, Timestamp, SignatureNonce, SecurityToken, ...rest } =
    Object.fromEntries(new URLSearchParams(it.query + it.body));
  for (const own of ["Signature", "AccessKeyId", "SignatureMethod", "SignatureVersion", "Version"]) delete rest[own];
  const caller = client("127.0.0.1:9", it.key_id, it.secret, SecurityToken);
  let sent = null;
  httpx.request = async (url, options) => { sent = options.data; throw new Error("caught"); };
  const request = () => caller.request(Action, rest, { method: it.method });
  await within(() => RealDate.parse(Timestamp), SignatureNonce, request).catch(() => {});
  return { signature: new URLSearchParams(sent).get("Signature") };
}

async function main() {
  console.log(JSON.stringify({ "@alicloud/pop-core": require("@alicloud/pop-core/package.json").version }));
  for (const line of require("fs").readFileSync(0, "utf8").split("\n").filter(Boolean)) {
    const it = JSON.parse(line);
    console.log(JSON.stringify(await (it.ask ? ask(it.ask) : sign(it.sign))));
  }
  process.exit(0);
}

main().catch((error) => { console.error(error); process.exit(1); });
