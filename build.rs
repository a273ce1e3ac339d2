//! Generates the operation and action tables from the data files beside `src/s3`.
//!
//! `s3-ops.tsv` becomes `operations.rs`, `s3-actions.json` becomes `actions.rs`, both in `OUT_DIR`.
//! Whatever the data does not say plainly stops the build: a table with a hole would be a hole in the gate.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::{env, fs, path::Path};

const OPERATIONS: &str = "src/s3/data/s3-ops.tsv";
const ACTIONS: &str = "src/s3/data/s3-actions.json";

/// Actions of other services that S3 operations need, as (variant, name).
const FOREIGN: [(&str, &str); 3] = [
    ("ExpressCreateSession", "s3express:CreateSession"),
    (
        "ExpressListAllMyDirectoryBuckets",
        "s3express:ListAllMyDirectoryBuckets",
    ),
    (
        "ObjectLambdaWriteGetObjectResponse",
        "s3-object-lambda:WriteGetObjectResponse",
    ),
];

/// Operations that are no row of the table, as (variant, method, URI, level, documentation, SSE headers from).
const EXTRA: [(&str, &str, &str, &str, &str, &str); 2] = [
    (
        "PostObject",
        "POST",
        "/{Bucket}",
        "Bucket",
        "`POST /{Bucket}` with a browser form (`multipart/form-data`); its fields count as headers.",
        "PutObject",
    ),
    (
        "CorsPreflight",
        "OPTIONS",
        "/{Bucket}/{Key+}",
        "Object",
        "`OPTIONS` on anything: a CORS preflight. It carries no credentials and changes nothing.",
        "",
    ),
];

/// Operations whose action column is no plain list: `src/s3/action.rs` says for each what it needs.
const BY_CODE: [&str; 18] = [
    "CopyObject",
    "CreateBucket",
    "CreateMultipartUpload",
    "CreateSession",
    "DeleteObject",
    "DeleteObjects",
    "GetObjectAttributes",
    "GetObjectTorrent",
    "HeadObject",
    "ListBuckets",
    "ListDirectoryBuckets",
    "PutBucketReplication",
    "PutObject",
    "PutObjectRetention",
    "RenameObject",
    "UpdateObjectEncryption",
    "UploadPartCopy",
    "WriteGetObjectResponse",
];

struct Row {
    name: String,
    method: String,
    uri: String,
    parameters: Vec<(String, bool)>,
    iam: String,
    sse: Vec<String>,
    headers: Vec<String>,
}

impl Row {
    fn level(&self) -> &'static str {
        if self.uri.contains("{Key+}") {
            "Object"
        } else if self.uri.contains("{Bucket}") {
            "Bucket"
        } else {
            "Service"
        }
    }

    /// The sub-resource that selects the operation; `list-type=2` and `select-type=2` are values, not selectors.
    fn selector(&self) -> Option<&str> {
        let name = self.uri.split_once('?')?.1.split('&').next()?;
        (!name.contains('=')).then_some(name)
    }

    /// The first required query parameter, without which another operation of the same URI is meant.
    fn required(&self) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(_, required)| *required)
            .map(|(name, _)| name.as_str())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=src/s3/data");
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var("OUT_DIR")?;
    let actions = read_actions()?;
    fs::write(Path::new(&out).join("actions.rs"), write_actions(&actions)?)?;
    let rows = read_rows()?;
    fs::write(
        Path::new(&out).join("operations.rs"),
        write_operations(&rows, &actions)?,
    )?;
    Ok(())
}

fn read_rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let text = fs::read_to_string(OPERATIONS)?;
    let list = |cell: &str, by: char| -> Vec<String> {
        cell.split(by)
            .map(|item| item.trim().trim_end_matches('*').to_owned())
            .filter(|item| !item.is_empty())
            .collect()
    };
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [
            name,
            method,
            uri,
            _status,
            parameters,
            iam,
            sse,
            headers,
            ..,
        ] = cells.as_slice()
        else {
            return Err(format!("{OPERATIONS}:{}: expected 9 columns", number + 1).into());
        };
        rows.push(Row {
            name: (*name).to_owned(),
            method: (*method).to_owned(),
            uri: (*uri).to_owned(),
            parameters: parameters
                .split(',')
                .filter(|p| !p.is_empty())
                .map(|p| (p.trim_end_matches('*').to_owned(), p.ends_with('*')))
                .collect(),
            iam: (*iam).to_owned(),
            sse: list(sse, ';'),
            headers: list(headers, ','),
        });
    }
    Ok(rows)
}

type ActionTable = BTreeMap<String, (String, Vec<String>)>;

fn read_actions() -> Result<ActionTable, Box<dyn Error>> {
    let data: serde_json::Value = serde_json::from_str(&fs::read_to_string(ACTIONS)?)?;
    let actions = data["actions"]
        .as_object()
        .ok_or("s3-actions.json: no \"actions\"")?;
    let mut table = ActionTable::new();
    for (name, facts) in actions {
        let level = match facts["bucket_policy_level"].as_str() {
            Some("bucket") => "Bucket",
            Some("object") => "Object",
            Some("account-or-other") => "Other",
            other => return Err(format!("s3-actions.json: {name}: level {other:?}").into()),
        };
        let keys = facts["condition_keys"]
            .as_array()
            .ok_or_else(|| format!("s3-actions.json: {name}: no condition keys"))?;
        let keys = keys
            .iter()
            .filter_map(|key| key.as_str())
            .map(str::to_owned)
            .collect();
        table.insert(name.clone(), (level.to_owned(), keys));
    }
    Ok(table)
}

fn write_actions(table: &ActionTable) -> Result<String, Box<dyn Error>> {
    let mut out = String::new();
    writeln!(
        out,
        "/// An IAM action: the {} of `s3:`, and the few of other services that S3 operations need.",
        table.len()
    )?;
    writeln!(
        out,
        "#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n#[repr(u8)]\npub enum Action {{"
    )?;
    for name in table.keys() {
        writeln!(out, "    /// `s3:{name}`\n    {name},")?;
    }
    for (variant, name) in FOREIGN {
        writeln!(out, "    /// `{name}`\n    {variant},")?;
    }
    writeln!(out, "}}\n")?;
    writeln!(
        out,
        "static ACTION_TABLE: [ActionRow; {}] = [",
        table.len() + FOREIGN.len()
    )?;
    for (name, (level, keys)) in table {
        writeln!(
            out,
            "    ActionRow {{ action: Action::{name}, name: \"s3:{name}\", level: ActionLevel::{level}, condition_keys: &{keys:?} }},"
        )?;
    }
    for (variant, name) in FOREIGN {
        writeln!(
            out,
            "    ActionRow {{ action: Action::{variant}, name: \"{name}\", level: ActionLevel::Other, condition_keys: &[] }},"
        )?;
    }
    writeln!(out, "];")?;
    writeln!(out, "static ALL_ACTIONS: [Action; {}] = [", table.len())?;
    for name in table.keys() {
        writeln!(out, "    Action::{name},")?;
    }
    writeln!(out, "];")?;
    Ok(out)
}

/// The action column where it is plain: `s3:A`, or `s3:A | s3:B` for a request with `versionId`.
/// All else is `ByCode`: `action.rs` names those operations one by one.
fn needs(row: &Row, actions: &ActionTable) -> Result<String, Box<dyn Error>> {
    let known = |name: &str| {
        name.strip_prefix("s3:")
            .filter(|name| actions.contains_key(*name))
            .map(str::to_owned)
    };
    let cell = row.iam.replace(" (versionId)", "");
    let words: Vec<&str> = cell.split(' ').collect();
    let plain = match words.as_slice() {
        [one] => known(one).map(|one| format!("Needs::One(Action::{one})")),
        [plain, "|", versioned] => known(plain)
            .zip(known(versioned))
            .map(|(plain, versioned)| {
                format!("Needs::Versioned(Action::{plain}, Action::{versioned})")
            }),
        _ => None,
    };
    let listed = BY_CODE.contains(&row.name.as_str());
    match plain {
        Some(plain) if !listed => Ok(plain),
        None if listed => Ok("Needs::ByCode".to_owned()),
        _ => Err(format!("{OPERATIONS}: {}: BY_CODE must list the rows whose actions are not plain, and no other", row.name).into()),
    }
}

fn write_operations(rows: &[Row], actions: &ActionTable) -> Result<String, Box<dyn Error>> {
    let mut out = String::new();
    writeln!(
        out,
        "/// An operation of the S3 API, by its API name.\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n#[repr(u8)]\npub enum Operation {{"
    )?;
    for row in rows {
        writeln!(
            out,
            "    /// `{} {}`\n    {},",
            row.method, row.uri, row.name
        )?;
    }
    for (name, _, _, _, doc, _) in EXTRA {
        writeln!(out, "    /// {doc}\n    {name},")?;
    }
    writeln!(out, "}}\n")?;
    writeln!(
        out,
        "static OPERATION_TABLE: [OperationRow; {}] = [",
        rows.len() + EXTRA.len()
    )?;
    for row in rows {
        let parameters: Vec<&str> = row
            .parameters
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        writeln!(
            out,
            "    OperationRow {{ operation: Operation::{0}, name: \"{0}\", method: \"{1}\", uri: {2:?}, level: Level::{3}, parameters: &{4:?}, needs: {5}, sse_headers: &{6:?}, headers: &{7:?} }},",
            row.name,
            row.method,
            row.uri,
            row.level(),
            parameters,
            needs(row, actions)?,
            row.sse,
            row.headers
        )?;
    }
    for (name, method, uri, level, _, like) in EXTRA {
        let (sse, headers) = rows
            .iter()
            .find(|row| row.name == like)
            .map_or((vec![], vec![]), |row| {
                (row.sse.clone(), row.headers.clone())
            });
        writeln!(
            out,
            "    OperationRow {{ operation: Operation::{name}, name: \"{name}\", method: \"{method}\", uri: {uri:?}, level: Level::{level}, parameters: &[], needs: Needs::ByCode, sse_headers: &{sse:?}, headers: &{headers:?} }},"
        )?;
    }
    writeln!(out, "];")?;
    let count = rows.len() + EXTRA.len();
    writeln!(out, "static ALL_OPERATIONS: [Operation; {count}] = [")?;
    for name in rows
        .iter()
        .map(|row| row.name.as_str())
        .chain(EXTRA.iter().map(|extra| extra.0))
    {
        writeln!(out, "    Operation::{name},")?;
    }
    writeln!(out, "];")?;
    write_selection(&mut out, rows)?;
    Ok(out)
}

/// Level, method and sub-resource.
type Choice<'a> = (&'a str, &'a str, &'a str);
/// An operation and the parameter that it needs.
type Candidate<'a> = (&'a str, Option<&'a str>);

/// What chooses an operation: (level, method, sub-resource) -> candidates, and the names that matter in a query.
fn write_selection(out: &mut String, rows: &[Row]) -> Result<(), Box<dyn Error>> {
    let mut choices: BTreeMap<Choice<'_>, Vec<Candidate<'_>>> = BTreeMap::new();
    let mut selectors: BTreeSet<&str> = BTreeSet::new();
    let mut parameters: BTreeSet<&str> = BTreeSet::new();
    for row in rows {
        if let Some(selector) = row.selector() {
            selectors.insert(selector);
            choices
                .entry((row.level(), row.method.as_str(), selector))
                .or_default()
                .push((&row.name, row.required()));
        }
        parameters.extend(row.parameters.iter().map(|(name, _)| name.as_str()));
    }
    parameters.extend(["list-type", "select-type"]);
    writeln!(
        out,
        "/// The operations that a sub-resource selects, each with the parameter it needs."
    )?;
    writeln!(
        out,
        "#[must_use]\npub(crate) fn by_selector(level: Level, method: &str, selector: &str) -> &'static [(Operation, Option<&'static str>)] {{\n    match (level, method, selector) {{"
    )?;
    for ((level, method, selector), mut found) in choices {
        // Of two names for one request (`PutBucketLifecycle` and `...Configuration`) the younger one stands: S3 documents the older as replaced.
        let younger: Vec<String> = found
            .iter()
            .map(|(name, _)| format!("{name}Configuration"))
            .collect();
        if let Some(name) = found
            .iter()
            .map(|(name, _)| *name)
            .find(|name| younger.iter().any(|y| y == name))
        {
            found.retain(|(other, _)| *other == name);
        }
        // The one that needs a parameter is tried first.
        found.sort_by_key(|(_, required)| required.is_none());
        let list: Vec<String> = found
            .iter()
            .map(|(name, required)| format!("(Operation::{name}, {required:?})"))
            .collect();
        writeln!(
            out,
            "        (Level::{level}, \"{method}\", \"{selector}\") => &[{}],",
            list.join(", ")
        )?;
    }
    writeln!(out, "        _ => &[],\n    }}\n}}")?;
    for (function, doc, names) in [
        (
            "selector",
            "The sub-resource of this name, at any level and with any method.",
            selectors,
        ),
        (
            "parameter",
            "The query parameter of this name that some operation reads.",
            parameters,
        ),
    ] {
        writeln!(
            out,
            "/// {doc}\n#[must_use]\npub(crate) fn {function}(name: &[u8]) -> Option<&'static str> {{\n    match name {{"
        )?;
        for name in names {
            writeln!(out, "        b{name:?} => Some({name:?}),")?;
        }
        writeln!(out, "        _ => None,\n    }}\n}}")?;
    }
    Ok(())
}
