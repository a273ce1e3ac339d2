"""The command line: what it prints and how it ends (0 good, 1 something is wrong with what was checked, 2 wrong usage)."""

import json
from pathlib import Path

import pytest

from harness.commands import run
from harness.tools import ROOT, sealgate

CORPUS = ROOT / "tests" / "data" / "policy-corpus.json"


def gate(*words, cwd: Path | None = None):
    return run([sealgate(), *words], cwd=cwd)


def statement(**more) -> dict:
    return {
        "Sid": "S", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::bucket/*",
        "Condition": {"Null": {"s3:x-amz-server-side-encryption": "true"}}, **more,
    }


@pytest.fixture
def policy(tmp_path):
    def write(*statements, name: str = "policy.json", **more) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps({"Version": "2012-10-17", "Statement": list(statements), **more}))
        return path

    return write


# policy test


def test_corpus_passes_whole():
    done = gate("policy", "test", "--cases", CORPUS, "--multipart", "literal").ok()
    cases = sum(len(e["cases"]) for e in json.loads(CORPUS.read_text())["entries"])
    assert done.out.splitlines()[-1] == f"{cases} passed, 0 failed"


def test_case_that_differs_is_named(tmp_path):
    corpus = json.loads(CORPUS.read_text())
    entry = corpus["entries"][0]
    case = entry["cases"][0]
    case["expect"] = {"D": "A", "A": "D", "N": "D"}[case["expect"]]
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"entries": [entry]}))
    done = gate("policy", "test", "--cases", path, "--multipart", "literal")
    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[-1] == f"{len(entry['cases']) - 1} passed, 1 failed"
    assert entry["id"] in lines[0] and case["name"] in lines[0]


def test_derived_is_no_input(tmp_path):
    corpus = json.loads(CORPUS.read_text())
    for entry in corpus["entries"]:
        for case in entry["cases"]:
            case.pop("derived", None)
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(corpus))
    gate("policy", "test", "--cases", path, "--multipart", "literal").ok()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"entries": 1}', '{"entries":[{"id":"x"}]}'])
def test_cases_that_cannot_be_read(tmp_path, text):
    path = tmp_path / "cases.json"
    path.write_text(text)
    done = gate("policy", "test", "--cases", path)
    assert done.code in (1, 2) and done.err, done
    assert gate("policy", "test", "--cases", tmp_path / "absent.json").code == 2


def test_one_request_by_flags(policy):
    path = policy(statement())
    done = gate("policy", "test", "--policy", path, "--method", "PUT", "--path", "/bucket/k")
    assert "S" in done.out and "x-amz-server-side-encryption" in done.out, done
    assert "den" in done.out.lower()
    done = gate("policy", "test", "--policy", path, "--method", "PUT", "--path", "/bucket/k", "--header", "x-amz-server-side-encryption: AES256")
    assert done.code == 0, done


# policy check


def test_check_good(policy):
    done = gate("policy", "check", policy(statement()))
    assert done.code == 0, done


BAD = {
    "unknown key": statement(Condition={"Null": {"s3:nonsense": "true"}}),
    "unknown operator": statement(Condition={"StringNearly": {"s3:x-amz-acl": "x"}}),
    "object action on a bucket": statement(Resource="arn:aws:s3:::bucket"),
    "no effect": {k: v for k, v in statement().items() if k != "Effect"},
    "unknown element": statement(Nonsense=1),
    "no action": {k: v for k, v in statement().items() if k != "Action"},
    "action and not action": statement(NotAction="s3:GetObject"),
    "unknown action": statement(Action="s3:Nonsense"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_check_bad(policy, bad):
    path = policy(bad)
    done = gate("policy", "check", path)
    assert done.code == 1, done
    assert str(path) in done.out + done.err or path.name in done.out + done.err


def test_check_in_the_words_of_aws(policy):
    done = gate("policy", "check", policy(statement(Resource="arn:aws:s3:::bucket")))
    text = done.out + done.err
    assert "Action does not apply to any resource(s) in statement" in text and "/*" in text


def test_check_duplicate_keys(tmp_path):
    path = tmp_path / "p.json"
    path.write_text('{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Effect":"Allow","Principal":"*","Action":"s3:*",'
                    '"Resource":"arn:aws:s3:::bucket/*"}]}')
    assert gate("policy", "check", path).code == 1


TRAPS = {
    "IfExists": statement(Condition={"StringNotEqualsIfExists": {"s3:x-amz-server-side-encryption": "AES256"}}),
    "ForAllValues": statement(Condition={"ForAllValues:StringEquals": {"s3:x-amz-server-side-encryption": "x"}}),
    "key id alone": statement(Condition={"StringNotEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:us-east-1:1:key/k"}}),
    "ams:kms": statement(Condition={"StringNotEquals": {"s3:x-amz-server-side-encryption": "ams:kms"}}),
    "denies everything": statement(Action="s3:*", Resource=["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"], Condition={}),
}


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS)
def test_check_warns(policy, trap):
    path = policy(trap)
    done = gate("policy", "check", path)
    assert done.code == 0, done
    assert "warning" in (done.out + done.err).lower()
    assert gate("policy", "check", "--strict", path).code == 1


def test_check_unreadable(tmp_path):
    assert gate("policy", "check", tmp_path / "absent.json").code == 2


# policy prove


def test_prove_proved(policy):
    other = statement(Sid="T", Condition={"StringNotEquals": {"s3:x-amz-server-side-encryption": ["AES256", "aws:kms"]}})
    done = gate("policy", "prove", policy(statement(), other))
    assert done.code == 0 and "proved" in done.out, done


def test_prove_counterexample(policy):
    path = policy(statement(Condition={"StringEquals": {"s3:x-amz-server-side-encryption": "AES256"}}))
    done = gate("policy", "prove", path)
    assert done.code == 1, done
    assert "PUT" in done.out or "POST" in done.out, done


def test_prove_of_a_prefix_finds_the_rest(policy):
    done = gate("policy", "prove", policy(statement(Resource="arn:aws:s3:::bucket/only/*")))
    assert done.code == 1, done


# policy expand, generate


def test_expand(tmp_path):
    path = tmp_path / "short.yaml"
    path.write_text("bucket: bucket\nrequire: aws:kms\ntls: \"1.2\"\n")
    done = gate("policy", "expand", path).ok()
    document = json.loads(done.out)
    assert document["Version"] == "2012-10-17"
    out = tmp_path / "out.json"
    out.write_text(done.out)
    gate("policy", "check", out).ok()
    gate("policy", "prove", out).ok()


def test_generate(tmp_path):
    done = gate("policy", "generate", "--help").ok()
    assert "--bucket" in done.out
    done = gate("policy", "generate", "--bucket", "bucket", "--require", "aws:kms").ok()
    out = tmp_path / "out.json"
    out.write_text(done.out)
    gate("policy", "check", out).ok()
    gate("policy", "prove", out).ok()


# check


CONFIG = """\
listen:
  - address: 127.0.0.1:18080
store:
  endpoint: http://127.0.0.1:19000
rules:
  - {bucket: "*", require: any}
"""


def test_check_config(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG)
    assert gate("check", "--config", path).code == 0


def test_check_config_names_every_error_at_once(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.replace("require: any", "require: nothing, mode: sometimes, colour: red")
                    + "continue_timeout: 200\nnonsense: 1\nlimits: {header_bytes: 64KB}\npolicies: [absent.json]\n")
    done = gate("check", "--config", path)
    assert done.code == 1
    text = done.out + done.err
    for word in ("nothing", "sometimes", "colour", "nonsense", "64KB", "absent.json"):
        assert word in text, (word, text)
    for allowed in ("AES256", "aws:kms", "enforce", "report"):
        assert allowed in text, (allowed, text)
    assert "c.yaml" in text and "line 6" in text, text


def test_run_refuses_what_check_refuses(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG + "nonsense: 1\n")
    done = gate("run", "--config", path)
    assert done.code == 1 and "nonsense" in done.out + done.err


def test_check_config_with_a_bad_policy(tmp_path):
    (tmp_path / "p.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement(Condition={"Null": {"s3:no": "true"}})]}))
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.replace("require: any", "policy: p.json"))
    done = gate("check", "--config", path)
    assert done.code == 1
    text = done.out + done.err
    assert "p.json" in text and "s3:no" in text


@pytest.mark.parametrize("rule", [
    "{bucket: vault, require: }",
    "{bucket: vault, policy: }",
    "{bucket: vault, require: any, mode: }",
    "{bucket: vault, require: any, prefix: ~}",
])
def test_nothing_is_no_value(tmp_path, rule):
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.replace('{bucket: "*", require: any}', rule))
    done = gate("check", "--config", path)
    assert done.code == 1
    assert "is empty: give it a value, or leave the field out" in done.out + done.err


@pytest.mark.parametrize("more", [
    'rules: [{bucket: "*", prefix: "secret/*", require: AES256}, {bucket: "*"}]',
    'rules: [{bucket: "*", prefix: /secret/, require: AES256}, {bucket: "*"}]',
    'rules: [{bucket: Vault, require: AES256}, {bucket: "*"}]',
    'rules: [{bucket: "*", mode: report}]\npolicies: [p.json]',
    'rules: [{bucket: vault, prefix: secret/, policy: p.json}]',
    'rules: [{bucket: vault}]\ntrusted_proxies: [0.0.0.0/1, 128.0.0.0/1]',
])
def test_check_warns_of_what_is_hardly_meant(tmp_path, more):
    (tmp_path / "p.json").write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement(Resource="arn:aws:s3:::vault/other/*")]}))
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.partition("rules:")[0] + more + "\n")
    assert gate("check", "--config", path).code == 0
    done = gate("check", "--strict", "--config", path)
    assert done.code == 1 and done.out.count("warning: ") == 1, done.out + done.err


def test_check_config_that_is_not_there(tmp_path):
    assert gate("check", "--config", tmp_path / "absent.yaml").code == 2


def test_environment_that_is_not_set(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.replace("http://127.0.0.1:19000", "${SEALGATE_NOT_SET}"))
    done = gate("check", "--config", path)
    assert done.code == 1 and "SEALGATE_NOT_SET" in done.out + done.err


# usage


@pytest.mark.parametrize("words", [["nonsense"], ["run"], ["check"], ["policy"], ["policy", "nonsense"], ["run", "--nonsense"]])
def test_wrong_usage(words):
    done = gate(*words)
    assert done.code == 2 and done.err, done


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["run", "--help"], ["policy", "test", "--help"]])
def test_help(words):
    assert gate(*words).ok().out
