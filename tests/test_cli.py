"""The command line: what it prints and how it ends (0 good, 1 something is wrong with what was checked, 2 wrong usage)."""

import json
import shlex
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


def request(policy_file, *words):
    return gate("policy", "test", "--policy", policy_file, *words)


@pytest.mark.parametrize("words", [
    ["--tls", "banana"], ["--tls", "off"], ["--tls", "1.4"], ["--tls", ""], ["--principal", "zz"], ["--source-ip", "zz"],
    ["--auth-type", "HEADER"], ["--signature-version", "V4"], ["--path", "nobucket"], ["--header", "x"], ["--time", "now"],
], ids=" ".join)
def test_a_request_that_cannot_be_is_wrong_usage(policy, words):
    path = [] if "--path" in words else ["--path", "/bucket/k"]
    done = request(policy(statement()), *path, *words)
    assert done.code == 2 and words[0] in done.err, done


def test_versions_of_tls(policy, tmp_path):
    path = policy(statement(Condition={"Bool": {"aws:SecureTransport": "false"}}))
    for words, code in [([], 1), (["--tls", "none"], 1), (["--tls", "1.0"], 0), (["--tls", "1.3"], 0)]:
        assert request(path, "--path", "/bucket/k", *words).code == code, words
    assert "1.0, 1.1, 1.2, 1.3, or none" in request(path, "--path", "/bucket/k", "--tls", "off").err

    def cases(tls, expect):
        entry = {"id": "e", "policy": json.loads(path.read_text()), "cases": [
            {"name": "c", "request": {"method": "PUT", "path": "/bucket/k", "tls": tls}, "expect": expect}]}
        file = tmp_path / "cases.json"
        file.write_text(json.dumps({"entries": [entry]}))
        return gate("policy", "test", "--cases", file)

    for tls, expect in [(None, "D"), ("none", "D"), ("1.2", "N"), ("1.3", "N")]:
        assert cases(tls, expect).code == 0, tls
    for tls in ("off", "banana", "2", ""):
        done = cases(tls, "D")
        assert done.code == 2 and "e / c" in done.err and "or none" in done.err, done


def test_values_of_headers_are_trimmed_as_http_does(policy, tmp_path):
    equals = statement(Condition={"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}})
    entry = {"id": "e", "policy": {"Statement": [equals]}, "cases": [
        {"name": value, "request": {"method": "PUT", "path": "/bucket/k", "headers": {"x-amz-server-side-encryption": value}},
         "expect": expect} for value, expect in [(" AES256\t ", "N"), ("AES256", "N"), ("AES 256", "D"), (" ", "D")]]}
    file = tmp_path / "cases.json"
    file.write_text(json.dumps({"entries": [entry]}))
    assert gate("policy", "test", "--cases", file).ok().out.strip() == "4 passed, 0 failed"


APP = "arn:aws:iam::111122223333:user/app"


@pytest.mark.parametrize("condition,words,code", [
    ({"StringEquals": {"s3:authType": "POST"}}, ["--principal", APP], 1),
    ({"StringEquals": {"s3:authType": "REST-HEADER"}}, ["--principal", APP], 0),
    ({"StringEquals": {"s3:authType": "POST"}}, [], 0),
    ({"StringEquals": {"s3:signatureversion": "AWS"}}, ["--form", "policy=e30=", "--form", "AWSAccessKeyId=A", "--form", "signature=s"], 1),
    ({"NumericGreaterThan": {"s3:signatureAge": "600000"}}, ["--principal", APP], 0),
    ({"NumericGreaterThan": {"s3:signatureAge": "600000"}}, ["--principal", APP, "--signature-age", "600001"], 1),
    ({"NumericGreaterThan": {"s3:signatureAge": "600000"}}, [
        "--form", "policy=e30=", "--form", "x-amz-algorithm=AWS4-HMAC-SHA256", "--form", "x-amz-signature=00",
        "--form", "x-amz-credential=A/20260101/r/s3/aws4_request", "--form", "x-amz-date=20260101T000000Z",
        "--time", "2026-01-01T01:00:00Z"], 1),
    ({"ArnEquals": {"aws:PrincipalArn": APP}}, ["--principal", APP], 1),
    ({"StringEquals": {"s3:authType": "PUT"}}, ["--form", "x-amz-signature=00"], 1),
    ({"StringEquals": {"s3:authType": "PUT"}}, ["--form", "key=twice"], 1),
])
def test_a_form_by_flags(policy, condition, words, code):
    done = request(policy(statement(Condition=condition)), "--method", "POST", "--path", "/bucket", "--form", "key=k", *words)
    assert done.code == code, done


def test_tags_of_a_body_by_flags(policy):
    path = policy(statement(Action="s3:PutObjectTagging", Condition={"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": "Bad"}}))
    words = ["--method", "PUT", "--path", "/bucket/k?tagging"]
    assert request(path, *words, "--tag", "good=1").code == 0
    done = request(path, *words, "--tag", "Bad=1")
    assert done.code == 1 and "tags in the request's body" in done.out and "leave out" not in done.out, done
    done = request(path, *words)
    assert done.code == 1 and "not in the request's head" in done.out and "leave out" not in done.out, done


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


def replay(done):
    """Runs the line that a counterexample ends with."""
    line = next(line for line in done.out.splitlines() if line.startswith("sealgate policy test"))
    return gate(*shlex.split(line)[1:])


@pytest.mark.parametrize("condition", [
    {"NumericLessThan": {"s3:object-lock-remaining-retention-days": "10"}},
    {"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}},
    {"DateLessThan": {"s3:object-lock-retain-until-date": "2027-01-01T00:00:00Z"}},
    {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
    {"StringNotEquals": {"s3:authType": "POST"}},
    {"NumericGreaterThan": {"s3:signatureAge": "1000"}},
    {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    {"StringLike": {"aws:UserAgent": "*curl*"}},
    {"StringNotEquals": {"aws:username": "dave"}},
    {"Null": {"s3:object-lock-remaining-retention-days": "true"}},
], ids=str)
def test_a_counterexample_replays(policy, condition):
    done = gate("policy", "prove", policy(statement(Condition=condition)))
    assert done.code == 1, done
    again = replay(done)
    assert again.code == 0, (done, again)
    days = statement(Sid="Days", Condition={"Null": {"s3:object-lock-remaining-retention-days": "true"}})
    done = gate("policy", "prove", policy(statement(Condition=condition), days))
    if "gets through" in done.out:
        assert replay(done).code == 0, done


def test_prove_with_a_deny_that_cannot_be_walked(policy):
    home = statement(Sid="Home", Resource="arn:aws:s3:::bucket/${aws:username}/*", Condition={"StringEquals": {"s3:x-amz-acl": "public-read"}})
    other = statement(Sid="T", Condition={"StringNotEquals": {"s3:x-amz-server-side-encryption": ["AES256", "aws:kms"]}})
    done = gate("policy", "prove", policy(statement(), other, home))
    assert done.code == 0 and "proved" in done.out, done


def test_prove_tls_takes_a_version_only_where_it_is_one(policy):
    plain = statement(Action="s3:*", Condition={"Bool": {"aws:SecureTransport": "false"}})
    old = statement(Sid="Old", Action="s3:*", Condition={"NumericLessThan": {"s3:TlsVersion": "1.2"}})
    only, both = policy(plain), policy(plain, old, name="both.json")
    for words, code in [(["--tls", only], 0), (["--tls=1.0", only], 0), (["--tls", "1.0", only], 0), ([only, "--tls"], 0),
                        (["--tls=1.2", only], 1), (["--tls", "1.2", only], 1), ([only, "--tls", "1.2"], 1),
                        (["--tls", "1.2", both], 0), (["--tls=1.3", both], 1), (["--tls=banana", only], 2),
                        (["--tls", "banana", only], 2), (["--tls", "none", only], 2), (["--tls=", only], 2)]:
        assert gate("policy", "prove", *words).code == code, words


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


@pytest.mark.parametrize("words", [
    ["--bucket", "B", "--require", "any"], ["--bucket", "b/c", "--require", "any"], ["--bucket", "bucket", "--tls", "banana"],
    ["--bucket", "bucket", "--source-ip", "zz"], ["--bucket", "bucket", "--allow-principal", "zz"], ["--bucket", "bucket", "--require", "zz"],
    ["--bucket", "bucket", "--require", "aws:kms", "--key-id", "zz"], ["--bucket", "bucket"],
], ids=" ".join)
def test_choices_that_cannot_be_are_wrong_usage(words):
    done = gate("policy", "generate", *words)
    assert done.code == 2 and done.err and not done.out, done


@pytest.mark.parametrize("text,line", [("bucket: b\nrequires: any\n", 2), ("require:\n  sse: aws:kms\n  keyid: x\n", 3)])
def test_a_short_form_names_the_line(tmp_path, text, line):
    file = tmp_path / "short.yaml"
    file.write_text(text)
    for command in ("expand", "check", "prove"):
        done = gate("policy", command, file)
        assert done.code == 1 and f"line {line}: " in done.err + done.out, done


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
