//! The walk over all classes of requests.
//!
//! Dimension by dimension; as soon as all facts are there that one statement asks for, the evaluator is asked about that
//! statement: where it denies, or where the last that could allow does not, all requests that go on from here are refused too.

use super::dims::{About, Dim, Dims, Part, sources};
use super::request::{Passed, Request, Setting};
use super::{Options, Question, Verdict, bad};
use crate::policy::{Document, Effect, Key, Keys, Policy, Statement};
use crate::s3::Operation;

/// A statement by itself, and where in the walk all that it asks for is known.
struct Guard {
    effect: Effect,
    policy: Policy,
    depth: usize,
}

/// State of the walk.
struct Walk<'a> {
    policy: &'a Policy,
    question: &'a Question,
    setting: Setting<'a>,
    /// Where only a part of the policy is walked: that part, and how it is used.
    part: Option<(Policy, Setting<'a>)>,
    dims: &'a [Dim],
    guards: Vec<Guard>,
    /// The depth from which on the question can be asked.
    question_depth: usize,
    left: u64,
    best: Option<(u32, Request)>,
    doubts: Vec<String>,
    over: bool,
}

/// What of a policy is walked.
pub(super) struct Walked<'a> {
    /// The statements.
    pub document: &'a Document,
    /// Is an Allow of theirs needed?
    pub authorize: bool,
    /// Are they all that can matter?
    pub whole: bool,
}

/// Walks all classes of requests that `found` tells apart. What gets through is a counterexample where the whole policy,
/// used as `options` say, lets it through.
pub(super) fn search(
    policy: &Policy,
    walked: &Walked<'_>,
    question: &Question,
    options: &Options,
    found: Dims,
) -> Verdict {
    let document = walked.document;
    let asked: Vec<(&Statement, Vec<About>)> = document
        .statements
        .iter()
        .map(|statement| (statement, wants(statement, &found.dims)))
        .collect();
    let dims = order(found.dims, &asked);
    let place = |about: &About| {
        dims.iter()
            .position(|dim| dim.about == *about)
            .map_or(0, |at| at + 1)
    };
    let mut guards = Vec::new();
    for (statement, wants) in &asked {
        let alone = Document {
            version: document.version,
            id: None,
            statements: vec![(*statement).clone()],
        };
        if let Ok(policy) = Policy::compile(alone, Keys::Known) {
            guards.push(Guard {
                effect: statement.effect,
                policy,
                depth: wants.iter().map(place).max().unwrap_or(0),
            });
        }
    }
    let subject: &[About] = match question {
        Question::Tls(_) => &[About::Tls],
        _ => &[
            About::Header("x-amz-server-side-encryption"),
            About::Header("x-amz-server-side-encryption-aws-kms-key-id"),
            About::Header("x-amz-server-side-encryption-customer-algorithm"),
        ],
    };
    let classes = dims.iter().fold(1_u128, |all, dim| {
        all.saturating_mul(dim.choices.len() as u128)
    });
    let setting = Setting {
        account: &options.account,
        multipart: options.multipart,
        authorize: options.authorize,
    };
    let part = if walked.whole {
        None
    } else {
        let Ok(part) = Policy::compile(document.clone(), Keys::Known) else {
            return Verdict::Unknown("a part of it is no policy".to_owned());
        };
        let authorize = walked.authorize;
        Some((
            part,
            Setting {
                authorize,
                ..setting
            },
        ))
    };
    let mut walk = Walk {
        policy,
        question,
        setting,
        part,
        dims: &dims,
        guards,
        question_depth: subject.iter().map(place).max().unwrap_or(0),
        left: options.max_evaluations,
        best: None,
        doubts: found.doubts,
        over: false,
    };
    let allows = walk
        .guards
        .iter()
        .filter(|guard| guard.effect == Effect::Allow)
        .count();
    walk.go(0, 0, allows, &empty());
    let looked = options.max_evaluations - walk.left;
    match walk.best {
        Some((_, request)) => Verdict::Counterexample(Box::new(request)),
        None if walk.over => Verdict::Unknown(format!(
            "there are {classes} classes of requests, more than can be looked at; ask about a smaller policy"
        )),
        None => match walk.doubts.into_iter().next() {
            Some(why) => Verdict::Unknown(format!(
                "no request was found that gets through, but not all could be looked at: {why}"
            )),
            None => Verdict::Proved { classes, looked },
        },
    }
}

/// What the walk begins with.
fn empty() -> Request {
    Request {
        operation: Operation::PutObject,
        bucket: "bucket".to_owned(),
        key: "key".to_owned(),
        headers: Vec::new(),
        tags: Vec::new(),
        tls: Some("1.3"),
        ip: None,
        principal: None,
        signed: None,
        now_ms: None,
    }
}

/// The dimensions that a statement asks for.
fn wants(statement: &Statement, dims: &[Dim]) -> Vec<About> {
    let mut out = vec![About::Operation, About::Target, About::Who];
    let texts = statement
        .resource
        .patterns
        .iter()
        .map(String::as_str)
        .chain(
            statement
                .conditions
                .iter()
                .flat_map(|c| c.values.iter().map(crate::policy::Scalar::text)),
        );
    // A variable may bring any fact in; so may a key that is not known.
    if texts.into_iter().any(|text| text.contains("${")) {
        return dims.iter().map(|dim| dim.about.clone()).collect();
    }
    for condition in &statement.conditions {
        match Key::parse(&condition.key) {
            Ok(Key::RequestObjectTagKeys) => out.extend(
                dims.iter()
                    .filter(|dim| matches!(dim.about, About::Tag(_)))
                    .map(|dim| dim.about.clone()),
            ),
            Ok(key) => out.extend(sources(&key)),
            Err(_) => return dims.iter().map(|dim| dim.about.clone()).collect(),
        }
    }
    out
}

/// First what all ask for, then what the next statement needs the least of.
fn order(mut left: Vec<Dim>, asked: &[(&Statement, Vec<About>)]) -> Vec<Dim> {
    let mut out: Vec<Dim> = Vec::new();
    let mut take = |left: &mut Vec<Dim>, about: &About| {
        if let Some(at) = left.iter().position(|dim| dim.about == *about) {
            out.push(left.remove(at));
        }
    };
    for first in [
        About::Operation,
        About::Target,
        About::Who,
        About::Header("x-amz-server-side-encryption"),
        About::Header("x-amz-server-side-encryption-customer-algorithm"),
        About::Header("x-amz-server-side-encryption-aws-kms-key-id"),
        About::Tls,
    ] {
        take(&mut left, &first);
    }
    while !left.is_empty() {
        let missing = |wants: &[About]| {
            wants
                .iter()
                .filter(|about| left.iter().any(|dim| dim.about == **about))
                .count()
        };
        let next = asked
            .iter()
            .filter(|(_, wants)| missing(wants) > 0)
            .min_by_key(|(_, wants)| missing(wants));
        let about = match next.and_then(|(_, wants)| {
            wants
                .iter()
                .find(|about| left.iter().any(|dim| dim.about == **about))
        }) {
            Some(about) => about.clone(),
            None => left[0].about.clone(),
        };
        take(&mut left, &about);
    }
    out
}

impl Walk<'_> {
    fn go(&mut self, depth: usize, cost: u32, mut allows: usize, request: &Request) {
        if self.over || self.best.as_ref().is_some_and(|(best, _)| cost >= *best) {
            return;
        }
        if depth == self.question_depth && !bad(self.question, request) {
            return;
        }
        for guard in &self.guards {
            if guard.depth == depth {
                if self.left == 0 {
                    self.over = true;
                    return;
                }
                self.left -= 1;
                match guard.effect {
                    Effect::Deny if request.denied_by(&guard.policy, self.setting) => return,
                    Effect::Allow if !request.allowed_by(&guard.policy, self.setting) => {
                        allows -= 1;
                    }
                    _ => {}
                }
            }
        }
        // Where an Allow is needed and none is left, nothing that goes on from here gets through.
        let here = self.part.as_ref().map_or(self.setting, |(_, here)| *here);
        if here.authorize && allows == 0 {
            return;
        }
        let Some(dim) = self.dims.get(depth) else {
            self.leaf(cost, request);
            return;
        };
        for (more, part) in &dim.choices {
            if !fits(part, request) {
                continue;
            }
            let mut next = request.clone();
            part.put(&mut next);
            if copies(&next) && next.header("x-amz-copy-source").is_none() {
                next.headers
                    .push(("x-amz-copy-source".to_owned(), "source/object".to_owned()));
            }
            self.go(depth + 1, cost + more, allows, &next);
        }
    }

    fn leaf(&mut self, cost: u32, request: &Request) {
        if !bad(self.question, request) {
            return;
        }
        if self.left == 0 {
            self.over = true;
            return;
        }
        self.left -= 1;
        match request.passes(self.policy, self.setting) {
            Passed::Yes => {
                if self.best.as_ref().is_none_or(|(best, _)| cost < *best) {
                    self.best = Some((cost, request.clone()));
                }
            }
            Passed::No => {
                // What was left out denies it, and may not deny all that it stands for.
                if let Some((part, here)) = &self.part
                    && request.passes(part, *here) != Passed::No
                {
                    self.doubts
                        .push("it rests on statements that cannot be looked at whole".to_owned());
                }
            }
            Passed::NoRequest => self
                .doubts
                .push(format!("one of them is no request: {request}")),
        }
    }
}

/// Can the rest of the request have this value?
fn fits(part: &Part, request: &Request) -> bool {
    match part {
        // Its absence stands for the source that copies have anyway.
        Part::Header("x-amz-copy-source" | "x-amz-tagging-directive", Some(_)) => copies(request),
        Part::Signed(Some(signed)) => match &request.principal {
            // Anonymous requests are not signed: one value is enough.
            None => signed.auth == "REST-HEADER" && signed.version == "AWS4-HMAC-SHA256",
            Some(_) => (signed.auth == "POST") == (request.operation == Operation::PostObject),
        },
        _ => true,
    }
}

/// Whether S3's own validation takes the SSE headers, which it does whatever the policy says.
pub(super) fn sse_is_valid(request: &Request) -> bool {
    let sse = request.header("x-amz-server-side-encryption");
    let customer = request.header("x-amz-server-side-encryption-customer-algorithm");
    let key_id = request.header("x-amz-server-side-encryption-aws-kms-key-id");
    sse.is_none_or(|value| super::VALID_SSE.contains(&value))
        && (key_id.is_none() || sse.is_some_and(|value| value.starts_with("aws:kms")))
        && (sse.is_none() || customer.is_none())
        && customer.is_none_or(|value| value == "AES256")
}

fn copies(request: &Request) -> bool {
    matches!(
        request.operation,
        Operation::CopyObject | Operation::UploadPartCopy
    )
}
