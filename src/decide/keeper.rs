//! The rules and policies of a configuration, ready to decide.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use super::{Denial, Facts, Object, Verdict};
use crate::{
    audit::Reason,
    config::{CertificateClient, Config, Mode, PolicySource, Unconfirmed, glob},
    policy::{Decision, Multipart, Outcome, Policy, Principal, RequestContext, Signing, Target},
    s3::{self, Action, Actions, Needed, Operation, Resource, Routed},
    sigv4::SignatureVersion,
    transit::Identity,
};

/// A compiled policy and what messages call it.
struct Named {
    name: String,
    policy: Arc<Policy>,
    /// For each statement: why it denies a `PutObject` without the headers that it asks for. A gate says little else.
    without: Vec<OnceLock<Words>>,
}

/// A denial in words.
#[derive(Clone, Debug)]
struct Words {
    sid: Option<String>,
    condition: Option<String>,
    advice: Option<String>,
}

impl Named {
    fn of(source: &PolicySource) -> Self {
        Self {
            name: source.name.clone(),
            without: vec![OnceLock::new(); source.policy.document().statements.len()],
            policy: Arc::clone(&source.policy),
        }
    }

    fn words(&self, decision: &Decision, action: Action, context: &RequestContext<'_>) -> Words {
        let kept = decision
            .statement
            .filter(|_| action == Action::PutObject)
            .filter(|_| self.policy.decided_on_absence(decision, action, context))
            .and_then(|index| self.without.get(index as usize));
        match kept {
            Some(kept) => kept
                .get_or_init(|| self.explain(decision, action, context))
                .clone(),
            None => self.explain(decision, action, context),
        }
    }

    fn explain(&self, decision: &Decision, action: Action, context: &RequestContext<'_>) -> Words {
        let why = self.policy.explain(decision, action, context);
        Words {
            sid: why.sid.or_else(|| {
                why.statement
                    .map(|index| format!("statement {}", index + 1))
            }),
            condition: (!why.conditions.is_empty()).then(|| why.conditions.join(" and ")),
            advice: why.advice.map(|advice| advice.to_string()),
        }
    }
}

/// A rule, its policies compiled.
pub(super) struct Rule {
    name: String,
    bucket: String,
    prefix: Vec<u8>,
    policies: Vec<Named>,
    pub(super) mode: Mode,
    multipart: Multipart,
    pub(super) authorize: bool,
    pub(super) unconfirmed: Unconfirmed,
}

/// Decides requests. Made once for each configuration, shared by all threads.
pub struct Keeper {
    account: String,
    always: Vec<Named>,
    rules: Vec<Rule>,
    clients: HashMap<String, Principal>,
    certificates: Vec<CertificateClient>,
}

/// What one action on one thing comes to.
struct Step<'k> {
    rule: &'k Rule,
    denial: Option<Denial<'k>>,
}

impl Keeper {
    /// Takes from `config` what decides: its policies are compiled already.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let rules = config
            .rules
            .iter()
            .map(|rule| Rule {
                name: format!("rules[{}]", rule.index),
                bucket: rule.bucket.clone(),
                prefix: rule.prefix.clone().into_bytes(),
                policies: [&rule.policy, &rule.short]
                    .into_iter()
                    .flatten()
                    .map(Named::of)
                    .collect(),
                mode: rule.mode,
                multipart: rule.multipart,
                authorize: rule.authorize,
                unconfirmed: rule.unconfirmed,
            })
            .collect();
        let clients = config
            .clients
            .iter()
            .map(|client| (client.access_key.clone(), client.principal.clone()))
            .collect();
        Self {
            account: config.account.clone(),
            always: config.policies.iter().map(Named::of).collect(),
            rules,
            clients,
            certificates: config.certificates.clone(),
        }
    }

    /// Who claims this access key.
    #[must_use]
    pub fn principal(&self, access_key: &str) -> Option<&Principal> {
        self.clients.get(access_key)
    }

    /// Whose certificate this is: of those that match, the first. Nobody's once it has expired (`now`: seconds since 1970),
    /// however long its connection lasts.
    #[must_use]
    pub fn certified(&self, identity: &Identity, now: i64) -> Option<&Principal> {
        self.certificates
            .iter()
            .find(|client| client.certificate.matches(identity))
            .filter(|_| now <= identity.not_after)
            .map(|client| &client.principal)
    }

    /// Decides a request by its head. What its body names is asked for by [`Keeper::object`] and [`Keeper::form`].
    #[must_use]
    pub fn request<'k>(&'k self, facts: &Facts<'_>) -> Verdict<'k> {
        let actions = s3::actions(facts.routed, facts.head);
        if actions.is_empty() {
            // A preflight needs no action, but its bucket must be one that is served.
            let needed = Needed {
                action: s3::Action::ListBucket,
                on: Resource::Bucket,
                certain: false,
            };
            return match facts
                .routed
                .bucket
                .as_deref()
                .map(|b| (b, self.rule(b, None)))
            {
                None => Verdict::Allow(None),
                Some((_, Some(rule))) => Verdict::Allow(Some(&rule.name)),
                Some((bucket, None)) => {
                    Verdict::Deny(Box::new(no_rule(needed, Target::Bucket(bucket))))
                }
            };
        }
        self.all(facts, &actions, None)
    }

    /// Decides one of the objects that a `DeleteObjects` body names.
    #[must_use]
    pub fn object<'k>(&'k self, facts: &Facts<'_>, object: Object<'_>) -> Verdict<'k> {
        let bypass = facts
            .routed
            .amz(facts.head, "x-amz-bypass-governance-retention")
            .is_some_and(|v| v.eq_ignore_ascii_case("true"));
        self.all(
            facts,
            &s3::action::deletion(object.versioned, bypass),
            Some(object.key),
        )
    }

    /// Decides a POST form: `facts.form` holds its fields, `key` the key that the store will see.
    #[must_use]
    pub fn form<'k>(&'k self, facts: &Facts<'_>, key: &[u8]) -> Verdict<'k> {
        let fields = facts.form.unwrap_or(facts.head.headers);
        self.all(facts, &s3::action::post_actions(fields), Some(key))
    }

    /// Whether the objects that a body names could be decided differently from one another: the body must be read then.
    #[must_use]
    pub fn tells_objects_apart(&self, bucket: &str) -> bool {
        !self.always.is_empty()
            || self
                .rules
                .iter()
                .filter(|rule| glob::matches(&rule.bucket, bucket))
                .any(|rule| !rule.prefix.is_empty() || !rule.policies.is_empty() || rule.authorize)
    }

    /// Whether a policy asks for the tags in this request's body: they must be read then.
    #[must_use]
    pub fn asks_body_tags(&self, routed: &Routed<'_>) -> bool {
        let bucket = routed.bucket.as_deref().unwrap_or_default();
        routed.operation == Operation::PutObjectTagging
            && self
                .rules
                .iter()
                .filter(|rule| glob::matches(&rule.bucket, bucket))
                .flat_map(|rule| &rule.policies)
                .chain(&self.always)
                .any(|named| named.policy.asks_body_tags())
    }

    fn all<'k>(&'k self, facts: &Facts<'_>, actions: &Actions, key: Option<&[u8]>) -> Verdict<'k> {
        let mut reported = None;
        let mut rule_name = None;
        for needed in actions {
            for (bucket, key) in things(facts, needed.on, key) {
                if needed.on == Resource::Object && key.is_none() {
                    // Its objects stand in the body. They are decided there; that a rule is for the bucket, here.
                    let Some(rule) = bucket.and_then(|b| self.rule(b, None)) else {
                        let target = Target::Bucket(bucket.unwrap_or_default());
                        return Verdict::Deny(Box::new(no_rule(*needed, target)));
                    };
                    rule_name = Some(rule.name.as_str());
                    continue;
                }
                let target = match (bucket, &key) {
                    (None, _) => Target::Service,
                    (Some(bucket), None) => Target::Bucket(bucket),
                    (Some(bucket), Some(key)) => Target::Object(bucket, key),
                };
                let Some(bucket) = bucket else {
                    if let Some(denial) = self.service(facts, *needed) {
                        return Verdict::Deny(Box::new(denial));
                    }
                    continue;
                };
                let Some(rule) = self.rule(bucket, key.as_deref()) else {
                    return Verdict::Deny(Box::new(no_rule(*needed, target)));
                };
                if needed.on == Resource::Object || rule_name.is_none() {
                    rule_name = Some(rule.name.as_str());
                }
                let step = self.step(facts, rule, *needed, target);
                match (step.denial, step.rule.mode) {
                    (None, _) => {}
                    (Some(denial), Mode::Enforce) => return Verdict::Deny(Box::new(denial)),
                    (Some(denial), Mode::Report) => {
                        reported.get_or_insert(Box::new(denial));
                    }
                }
            }
        }
        reported.map_or(Verdict::Allow(rule_name), Verdict::Report)
    }

    /// The first rule that is for a bucket and key. What is about the bucket itself goes to its first rule without a prefix.
    pub(super) fn rule(&self, bucket: &str, key: Option<&[u8]>) -> Option<&Rule> {
        let mut ours = self
            .rules
            .iter()
            .filter(|rule| glob::matches(&rule.bucket, bucket));
        if let Some(key) = key {
            return ours.find(|rule| key.starts_with(&rule.prefix));
        }
        let mut first = None;
        for rule in ours {
            if rule.prefix.is_empty() {
                return Some(rule);
            }
            first.get_or_insert(rule);
        }
        first
    }

    /// The policies that speak where this rule is for a request.
    pub(super) fn policies_of<'k>(&'k self, rule: &'k Rule) -> impl Iterator<Item = &'k Policy> {
        let named = self.always.iter().chain(&rule.policies);
        named.map(|named| &*named.policy)
    }

    fn step<'k>(
        &'k self,
        facts: &Facts<'_>,
        rule: &'k Rule,
        needed: Needed,
        target: Target<'_>,
    ) -> Step<'k> {
        let context = self.context(facts, rule.multipart);
        let mut allowed = !rule.authorize || !needed.certain;
        for named in self.always.iter().chain(&rule.policies) {
            let decision = if allowed {
                named.policy.denies(needed.action, target, &context)
            } else {
                named.policy.decide(needed.action, target, &context)
            };
            match decision.outcome {
                Outcome::Denied => {
                    let denial =
                        denied(named, decision, needed, target, &context, Some(&rule.name));
                    return Step {
                        rule,
                        denial: Some(denial),
                    };
                }
                Outcome::Allowed => allowed = true,
                Outcome::NoMatch => {}
            }
        }
        let denial = (!allowed).then(|| Denial {
            reason: Reason::NotAllowed,
            rule: Some(&rule.name),
            ..no_rule(needed, target)
        });
        Step { rule, denial }
    }

    /// Service-level operations have no bucket, so only the policies that always count speak on them.
    fn service<'k>(&'k self, facts: &Facts<'_>, needed: Needed) -> Option<Denial<'k>> {
        let context = self.context(facts, Multipart::Inherit);
        self.always.iter().find_map(|named| {
            let decision = named
                .policy
                .denies(needed.action, Target::Service, &context);
            (decision.outcome == Outcome::Denied)
                .then(|| denied(named, decision, needed, Target::Service, &context, None))
        })
    }

    pub(super) fn context<'a>(
        &'a self,
        facts: &Facts<'a>,
        multipart: Multipart,
    ) -> RequestContext<'a> {
        RequestContext {
            head: facts.head,
            routed: facts.routed,
            signing: Signing {
                auth_type: facts.claim.auth.condition_value(),
                version: facts.claim.version.map(SignatureVersion::condition_value),
                age_ms: facts.claim.age_ms(facts.now_ms),
            },
            ip: Some(facts.ip),
            tls: facts.tls,
            principal: facts.principal,
            now_ms: facts.now_ms,
            account: &self.account,
            multipart,
            form: facts.form,
            tags: facts.tags,
        }
    }
}

/// A bucket and a key, where there are any.
pub(super) type Thing<'a> = (Option<&'a str>, Option<Cow<'a, [u8]>>);

/// The things that one needed action is about: several where stores read a key differently.
pub(super) fn things<'a>(facts: &Facts<'a>, on: Resource, key: Option<&'a [u8]>) -> Vec<Thing<'a>> {
    let bucket = facts.routed.bucket.as_deref();
    match on {
        Resource::Service => vec![(None, None)],
        Resource::Bucket => vec![(bucket, None)],
        Resource::CopySource => match &facts.routed.copy_source {
            Some(source) => source
                .keys()
                .flat_map(|key| readings(Some(source.bucket.as_ref()), key))
                .collect(),
            None => Vec::new(),
        },
        Resource::Object => match key.or(facts.routed.key.as_deref()) {
            // Its objects stand in the body: the bucket alone is decided now.
            None => vec![(bucket, None)],
            Some(key) => readings(bucket, key).collect(),
        },
    }
}

/// A key as it is, and as stores see it that read it otherwise.
fn readings<'a>(bucket: Option<&'a str>, key: &'a [u8]) -> impl Iterator<Item = Thing<'a>> {
    let others = s3::address::other_readings(key).into_iter().map(Cow::Owned);
    std::iter::once(Cow::Borrowed(key))
        .chain(others)
        .map(move |key| (bucket, Some(key)))
}

fn no_rule<'k>(needed: Needed, target: Target<'_>) -> Denial<'k> {
    Denial {
        reason: Reason::NoRule,
        action: needed.action,
        resource: target.arn(),
        rule: None,
        policy: None,
        sid: None,
        condition: None,
        advice: None,
    }
}

fn denied<'k>(
    named: &'k Named,
    decision: Decision,
    needed: Needed,
    target: Target<'_>,
    context: &RequestContext<'_>,
    rule: Option<&'k str>,
) -> Denial<'k> {
    let words = named.words(&decision, needed.action, context);
    Denial {
        reason: Reason::Policy,
        action: needed.action,
        resource: target.arn(),
        rule,
        policy: Some(&named.name),
        sid: words.sid,
        condition: words.condition,
        advice: words.advice,
    }
}
