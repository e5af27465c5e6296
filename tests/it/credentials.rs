//! Keys from every place the vendor's tools know, against servers on the loopback and made-up environments: who
//! gives them, in which order, when they are refreshed, what is said when they cannot be had.
//!
//! Neighbours: `support::metadata` plays ECS and a credentials URI, the emulator the Security Token Service. A part
//! of its own because no test may see the environment of whoever runs it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use seatwatch::aliyun::account::Settings;
use seatwatch::aliyun::credentials::{Environment, Provider, Role, Surroundings};
use seatwatch::aliyun::endpoint::Endpoint;
use seatwatch::aliyun::request::Signature;
use seatwatch::aliyun::transport::Options;
use seatwatch::aliyun::{Account, Client, Deadline, wire};
use seatwatch::emulator::{Clock, Emulator};
use seatwatch::engine::reading::{Fault, FaultClass};
use seatwatch::engine::time::{Span, Time};
use seatwatch::secret::{Secret, SecretRef};

use crate::support::metadata::Metadata;

const NOW: &str = "2026-11-22T03:05:00Z";
const ROLE: &str = "acs:ram::1234567890123456:role/reader";
const ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";

/// An emulator, a metadata server and a home directory; a clock that stands still.
struct World {
    sts: String,
    metadata: Metadata,
    home: tempfile::TempDir,
    clock: Arc<AtomicI64>,
}

impl World {
    fn new() -> Self {
        Self::with("")
    }

    fn with(scenario: &str) -> Self {
        let start: Time = NOW.parse().unwrap();
        let clock = Arc::new(AtomicI64::new(start.millis()));
        let hand = Arc::clone(&clock);
        let read: Clock = Arc::new(move || Time::from_millis(hand.load(Ordering::Relaxed)));
        let settings = seatwatch::emulator::Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            access_key_id: "LTAIcanaryid0001".into(),
            access_key_secret: Secret::new("canary-secret-1"),
            scenario: scenario.parse().unwrap(),
            ..Default::default()
        };
        let (address, emulator) = Emulator::bind(settings, start, read).unwrap();
        tokio::spawn(emulator.serve(std::future::pending()));
        let home = tempfile::tempdir().unwrap();
        Self { sts: format!("http://{address}"), metadata: Metadata::start(), home, clock }
    }

    fn now(&self) -> Time {
        Time::from_millis(self.clock.load(Ordering::Relaxed))
    }

    fn pass(&self, span: Span) {
        self.clock.fetch_add(span.millis(), Ordering::Relaxed);
    }

    fn deadline(&self) -> Deadline {
        Deadline::new(self.now(), Span::from_secs(30))
    }

    fn write(&self, path: &str, text: &str) -> String {
        let path = self.home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn around(&self, variables: &[(&str, &str)]) -> Surroundings {
        let home = self.home.path().display().to_string();
        let mut all = vec![("HOME", home.as_str())];
        all.extend(variables);
        Surroundings {
            environment: Environment::of(&all),
            metadata: self.metadata.url.clone(),
            sts: Some(Endpoint::parse(&self.sts).unwrap()),
        }
    }

    fn open(&self, provider: Provider, variables: &[(&str, &str)]) -> Result<Account, String> {
        let settings = Settings { name: "main".into(), provider, requests_per_second: 100.0, burst: 1000 };
        Account::open_in(&settings, self.around(variables)).map_err(|error| error.to_string())
    }

    /// Who gives keys, or what is said of none.
    async fn origin(&self, provider: Provider, variables: &[(&str, &str)]) -> String {
        let told = match self.open(provider, variables) {
            Ok(account) => match account.keys(&self.deadline()).await {
                Ok(held) => {
                    assert_eq!(account.origin(), held.origin);
                    held.origin.clone()
                }
                Err(fault) => fault.told(),
            },
            Err(error) => error,
        };
        assert!(!told.contains("canary"), "{told}");
        told
    }

    #[track_caller]
    fn has(told: &str, expect: &str) {
        assert!(told.contains(expect), "no {expect:?} in {told:?}");
    }

    /// One signed request for one user's count.
    async fn ask(&self, account: &Arc<Account>) -> Result<u32, Fault> {
        let endpoint = Endpoint::parse(&self.sts).unwrap();
        let client = Client::open(Arc::clone(account), endpoint, Signature::V3, &Options::default()).unwrap();
        let params = [("RegionId", "cn-shanghai"), ("SmartAGId", "sag-demo"), ("UserNames.1", "doctest")];
        let params = params.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let action = "DescribeUserOnlineClientStatistics";
        let read = |body: &[u8]| Ok(wire::statistics(body)?.1[0].count);
        let called = client.call(action, &params, &self.deadline(), read).await;
        called.result.map(|reply| reply.value.unwrap_or_default())
    }
}

fn keys() -> Provider {
    let plain = |text: &str| SecretRef::Plain(Secret::new(text));
    Provider::Keys { id: plain("LTAIcanaryid0001"), secret: plain("canary-secret-1"), token: None }
}

fn assumed(duration: Span) -> Provider {
    Provider::Assumed { base: Box::new(keys()), role: Role { duration, ..Role::new(ROLE) } }
}

const CLI: &str = r#"{"current":"cli","profiles":[
    {"name":"cli","mode":"AK","access_key_id":"LTAIcanaryid0001","access_key_secret":"canary-secret-1"},
    {"name":"role","mode":"RamRoleArn","access_key_id":"LTAIcanaryid0001","access_key_secret":"canary-secret-1",
     "ram_role_arn":"acs:ram::1:role/one","ram_session_name":"cli-session"},
    {"name":"chained","mode":"ChainableRamRoleArn","source_profile":"role","ram_role_arn":"acs:ram::1:role/two"},
    {"name":"ecs","mode":"EcsRamRole"},
    {"name":"run","mode":"External","process_command":"touch /canary"}]}"#;
const INI: &str = "[default]\ntype = access_key\naccess_key_id = LTAIcanaryid0001\n\
    access_key_secret = canary-secret-1\n[oidc]\ntype = oidc_role_arn\nrole_arn = acs:ram::1:role/ini\n\
    oidc_provider_arn = p\noidc_token_file_path = TOKEN\n";

#[tokio::test]
async fn the_chain_goes_in_the_vendors_order() {
    let world = World::new();
    let ask = |variables: Vec<(&'static str, String)>| {
        let world = &world;
        async move {
            let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            world.origin(Provider::Chain, &variables).await
        }
    };
    let token = world.write("token", "canary-jwt.a.b\n");
    world.write(".aliyun/config.json", CLI);
    world.write(".alibabacloud/credentials.ini", INI);
    let uri = ("ALIBABA_CLOUD_CREDENTIALS_URI", format!("{}/keys", world.metadata.url));
    let mut all = vec![
        (ID, "LTAIcanaryid0001".to_owned()),
        (SECRET, "canary-secret-1".to_owned()),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::1:oidc-provider/p".to_owned()),
        ("ALIBABA_CLOUD_ROLE_ARN", ROLE.to_owned()),
        uri,
    ];
    assert_eq!(ask(all.clone()).await, "environment (LTAI…0001)");
    all.drain(..2);
    World::has(&ask(all.clone()).await, &format!("environment: OIDC role {ROLE:?} (STS."));
    all.drain(..3);
    assert_eq!(ask(all.clone()).await, "CLI profile \"cli\" (LTAI…0001)");
    all.push(("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true".to_owned()));
    World::has(&ask(all.clone()).await, "section [default] of file");
    std::fs::remove_file(world.home.path().join(".alibabacloud/credentials.ini")).unwrap();
    assert_eq!(ask(all.clone()).await, "ECS role \"poller\" by metadata v2 (STS.…0001)");
    all.push(("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true".to_owned()));
    assert_eq!(ask(all.clone()).await, "credentials URI (STS.…0002)");
    all.remove(0);
    let told = ask(all).await;
    for step in
        [ID, "OIDC_TOKEN_FILE", "CLI_PROFILE_DISABLED", "credentials.ini", "ECS_METADATA_DISABLED", "_URI"]
    {
        World::has(&told, step);
    }
}

#[tokio::test]
async fn profiles_and_sections_are_chosen_by_name() {
    let world = World::new();
    world.write(".aliyun/config.json", CLI);
    let token = world.write("token", "canary-jwt.a.b\n");
    let ini = world.write(".alibabacloud/credentials", &INI.replace("TOKEN", &token));
    world.write(".alibabacloud/credentials.ini", "[default]\ntype = rsa_key_pair\n");
    let of = async |name: &str| world.origin(Provider::Chain, &[("ALIBABA_CLOUD_PROFILE", name)]).await;
    let one = "CLI profile \"role\": role \"acs:ram::1:role/one\" by CLI profile \"role\"";
    World::has(&of("role").await, &one.replace("CLI profile \"role\": role", "role"));
    World::has(
        &of("chained").await,
        "role \"acs:ram::1:role/two\" by role \"acs:ram::1:role/one\" by CLI profile",
    );
    World::has(&of("ecs").await, "CLI profile \"ecs\": ECS role \"poller\" by metadata v2");
    World::has(&of("run").await, "mode External would run a program");
    // Not a profile of the tool: the next step's section of that name.
    World::has(&of("oidc").await, "[oidc] of file");
    assert!(of("oidc").await.contains("OIDC role \"acs:ram::1:role/ini\""));
    let off =
        [("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true"), ("ALIBABA_CLOUD_CREDENTIALS_FILE", ini.as_str())];
    World::has(&world.origin(Provider::Chain, &off).await, "section [default] of file");
    assert_eq!(std::fs::read_to_string(world.home.path().join(".aliyun/config.json")).unwrap(), CLI);
}

#[tokio::test]
async fn what_is_half_set_or_broken_is_named_and_ends_the_search() {
    let world = World::new();
    world.write(".aliyun/config.json", CLI);
    let of = |variables: &[(&str, &str)]| world.open(Provider::Chain, variables).unwrap_err();
    World::has(&of(&[(ID, "LTAIcanaryid0001")]), "ALIBABA_CLOUD_ACCESS_KEY_SECRET is not");
    World::has(&of(&[("ALIBABA_CLOUD_ROLE_ARN", ROLE)]), "ALIBABA_CLOUD_OIDC_TOKEN_FILE is not");
    World::has(&of(&[("ALIBABA_CLOUD_PROFILE", "run")]), "ALIBABA_CLOUD_CLI_PROFILE_DISABLED=true");
    world.write(".aliyun/config.json", "{canary");
    World::has(&of(&[]), "config.json\": is not the JSON it should be");
    let oidc = Provider::Oidc {
        provider_arn: "p".into(),
        token_file: world.home.path().join("no-token"),
        role: Role::new(ROLE),
    };
    World::has(&world.origin(oidc, &[]).await, "no-token\": is not there");
}

#[tokio::test]
async fn keys_of_a_role_sign_requests() {
    let world = World::new();
    for provider in [keys(), assumed(Span::from_mins(15))] {
        let account = Arc::new(world.open(provider, &[]).unwrap());
        world.ask(&account).await.unwrap();
    }
    let account = Arc::new(world.open(assumed(Span::from_mins(15)), &[]).unwrap());
    assert_eq!(account.origin(), format!("role {ROLE:?} by keys of the rules file (not asked yet)"));
    let held = account.keys(&world.deadline()).await.unwrap();
    assert_eq!(held.expires, Some(world.now() + Span::from_mins(15)));
    let shown = format!("{account:?} {held:?}");
    assert!(!shown.contains("canary") && !shown.contains(held.keys.access_key_secret.expose()), "{shown}");
}

#[tokio::test]
async fn keys_are_refreshed_once_before_they_expire() {
    let world = World::new();
    let account = Arc::new(world.open(assumed(Span::from_hours(1)), &[]).unwrap());
    let first = account.keys(&world.deadline()).await.unwrap();
    world.pass(Span::from_mins(45));
    assert!(Arc::ptr_eq(&first, &account.keys(&world.deadline()).await.unwrap()), "15 minutes are left");
    world.pass(Span::from_secs(1));
    let deadline = world.deadline();
    let both = tokio::join!(account.keys(&deadline), account.keys(&deadline));
    let (one, other) = (both.0.unwrap(), both.1.unwrap());
    assert!(!Arc::ptr_eq(&one, &first), "stale keys are refreshed");
    // Who came second got the old ones, which still hold, or the new ones.
    assert!(Arc::ptr_eq(&other, &first) || Arc::ptr_eq(&other, &one));
    assert!(Arc::ptr_eq(&one, &account.keys(&world.deadline()).await.unwrap()));
    world.ask(&account).await.unwrap();
}

#[tokio::test]
async fn old_keys_serve_while_a_refresh_fails() {
    let world = World::with(
        "[[fault]]\nafter = \"46m\"\nfor = \"20m\"\nactions = [\"AssumeRole\"]\nkind = \"error\"\ncode = \"NoPermission\"\n",
    );
    let account = Arc::new(world.open(assumed(Span::from_hours(1)), &[]).unwrap());
    let first = account.keys(&world.deadline()).await.unwrap();
    world.pass(Span::from_mins(50));
    assert!(Arc::ptr_eq(&first, &account.keys(&world.deadline()).await.unwrap()));
    world.ask(&account).await.unwrap();
    world.pass(Span::from_mins(11));
    let fault = account.keys(&world.deadline()).await.unwrap_err();
    assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Permission, "NoPermission"));
    World::has(&fault.told(), "allow sts:AssumeRole");
    assert_eq!(world.ask(&account).await.unwrap_err().code, "NoPermission");
    world.pass(Span::from_mins(10));
    world.ask(&account).await.unwrap();
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let world = World::new();
    // The metadata server hands out a token the gate does not know, then keys that are good.
    world.metadata.serve("STS.canaryforeign001", "canary-x", "canary-token", NOW, Span::from_hours(6));
    let uri = Provider::Uri(SecretRef::Plain(Secret::new(format!("{}/role", world.metadata.url))));
    let account = Arc::new(world.open(uri, &[]).unwrap());
    account.keys(&world.deadline()).await.unwrap();
    let fault = world.ask(&account).await.unwrap_err();
    assert_eq!(fault.code, "InvalidAccessKeyId.NotFound", "not a token's fault: nothing is fetched");
    let before = world.metadata.asked();
    // The main key with a token that is not its own.
    world.metadata.serve("LTAIcanaryid0001", "canary-secret-1", "canary-token", NOW, Span::from_hours(6));
    world.pass(Span::from_mins(346));
    let fault = world.ask(&account).await.unwrap_err();
    assert_eq!(fault.code, "InvalidSecurityToken.MismatchWithAccessKey");
    assert_eq!(world.metadata.asked(), before + 1, "fetched just now and refused: not fetched again");
    world.pass(Span::from_mins(1));
    let sts = Arc::new(world.open(assumed(Span::from_hours(1)), &[]).unwrap());
    let good = sts.keys(&world.deadline()).await.unwrap();
    let part = |secret: &Secret| secret.expose().to_owned();
    let (id, secret) = (good.keys.access_key_id.clone(), part(&good.keys.access_key_secret));
    let token = good.keys.security_token.as_ref().map(part).unwrap();
    world.metadata.serve(&id, &secret, &token, NOW, Span::from_hours(12));
    world.ask(&account).await.unwrap();
    assert_eq!(world.metadata.asked(), before + 2);
    world.metadata.fail(500);
    assert!(world.ask(&account).await.is_ok(), "nothing is fetched while keys are fresh");
}

#[tokio::test]
async fn metadata_falls_back_to_version_1_unless_that_is_forbidden() {
    let world = World::new();
    let role = |name: Option<&str>| Provider::EcsRole(name.map(str::to_owned));
    World::has(&world.origin(role(None), &[]).await, "ECS role \"poller\" by metadata v2");
    World::has(&world.origin(role(Some("poller")), &[]).await, "ECS role \"poller\" by metadata v2");
    World::has(&world.origin(role(Some("other")), &[]).await, "no such RAM role");
    world.metadata.only_v1();
    World::has(&world.origin(role(None), &[]).await, "ECS role \"poller\" by metadata v1");
    let off = [("ALIBABA_CLOUD_IMDSV1_DISABLED", "true")];
    World::has(&world.origin(role(None), &off).await, "gives no token (HTTP 404)");
    world.metadata.fail(503);
    World::has(&world.origin(role(None), &[]).await, "gives no token (HTTP 503)");
}

#[tokio::test]
async fn a_silent_instance_is_not_replaced_by_a_later_step() {
    let world = World::new();
    let uri = format!("{}/keys", world.metadata.url);
    let account = world.open(Provider::Chain, &[("ALIBABA_CLOUD_CREDENTIALS_URI", &uri)]).unwrap();
    let first = account.keys(&world.deadline()).await.unwrap();
    World::has(&first.origin, "ECS role");
    world.metadata.fail_instance(503);
    world.pass(Span::from_mins(350));
    let second = account.keys(&world.deadline()).await.unwrap();
    assert!(Arc::ptr_eq(&first, &second), "{}", second.origin);
    world.pass(Span::from_mins(11));
    let fault = account.keys(&world.deadline()).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Transport);
}

#[tokio::test]
async fn a_role_by_a_silent_instance_is_not_taken_on_by_others() {
    let world = World::new();
    let uri = format!("{}/keys", world.metadata.url);
    let sts = world.open(assumed(Span::from_hours(12)), &[]).unwrap();
    let good = sts.keys(&world.deadline()).await.unwrap();
    let token = good.keys.security_token.as_ref().unwrap().expose();
    let secret = good.keys.access_key_secret.expose();
    world.metadata.serve(&good.keys.access_key_id, secret, token, NOW, Span::from_hours(12));
    let provider = Provider::Assumed { base: Box::new(Provider::Chain), role: Role::new(ROLE) };
    let account = world.open(provider, &[("ALIBABA_CLOUD_CREDENTIALS_URI", &uri)]).unwrap();
    let first = account.keys(&world.deadline()).await.unwrap();
    World::has(&first.origin, "by ECS role");
    world.metadata.fail_instance(503);
    world.pass(Span::from_mins(61));
    let fault = account.keys(&world.deadline()).await.unwrap_err();
    World::has(&fault.message, "ECS metadata");
}

#[tokio::test]
async fn faults_of_the_way_to_keys_hold_no_secret() {
    let world = World::new();
    let check =
        async |provider: Provider, expect: &str| World::has(&world.origin(provider, &[]).await, expect);
    let uri = |text: String| Provider::Uri(SecretRef::Plain(Secret::new(text)));
    let at = |path: &str| uri(format!("{}/{path}?canary", world.metadata.url));
    check(uri("http://example.com/canary".into()), "must be https, or http to a loopback address").await;
    check(uri("http://127.0.0.1:1/canary".into()), "credentials URI: ").await;
    check(at("garbage"), "is not the JSON it should be").await;
    check(at("nothing"), "the server answers 404").await;
    world.metadata.serve("STS.canary-late-01", "canary-y", "canary-z", NOW, Span::from_secs(-1));
    check(at("role"), "check this host's clock").await;
    let short = Role { duration: Span::from_secs(5), ..Role::new(ROLE) };
    let provider = Provider::Assumed { base: Box::new(keys()), role: short };
    check(provider, "InvalidParameter.DurationSeconds").await;
    let token_file = world.write("token", "canary jwt").into();
    let oidc = Provider::Oidc { provider_arn: "p".into(), token_file, role: Role::new(ROLE) };
    check(oidc, "AuthenticationFail.OIDCToken.Invalid").await;
    let plain = |text: &str| SecretRef::Plain(Secret::new(text));
    let wrong =
        Provider::Keys { id: plain("LTAIcanaryid0001"), secret: plain("canary-wrong-01"), token: None };
    let provider = Provider::Assumed { base: Box::new(wrong), role: Role::new(ROLE) };
    check(provider, "SignatureDoesNotMatch").await;
    assert!(Path::new(world.home.path()).exists());
}
