"""The rules of the proxy that most tests look at: one bucket for each habit."""

DOCUMENTED = {
    "Version": "2012-10-17",
    "Statement": [{
        "Sid": "DenyUnencryptedObjectUploads",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::documented/*",
        "Condition": {"Null": {"s3:x-amz-server-side-encryption": "true"}},
    }],
}

NO_SECRETS = {
    "Version": "2012-10-17",
    "Statement": [{
        "Sid": "NobodyReadsSecrets",
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:GetObjectVersion"],
        "Resource": "arn:aws:s3:::source/secret/*",
    }],
}

KEEP = {
    "Version": "2012-10-17",
    "Statement": [{
        "Sid": "NobodyDeletesWhatIsKept",
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
        "Resource": "arn:aws:s3:::keeper/keep/*",
    }],
}

RULES = [
    {"bucket": "open"},
    {"bucket": "locked", "require": "any"},
    {"bucket": "aes256", "require": "AES256"},
    {"bucket": "kms", "require": "aws:kms"},
    {"bucket": "reported", "require": "any", "mode": "report"},
    {"bucket": "literal", "require": "any", "multipart": "literal"},
    {"bucket": "split", "prefix": "secret/", "require": "any"},
    {"bucket": "split"},
    {"bucket": "documented", "policy": DOCUMENTED},
    {"bucket": "source", "policy": NO_SECRETS},
    {"bucket": "keeper", "policy": KEEP},
]
#: The header that satisfies `require: any`.
SSE = "x-amz-server-side-encryption: AES256"
EXPECT = "Expect: 100-continue"
