#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::s3::effort;

fn part(name: &str, value: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(name: &str, data: &str) -> String {
    format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/plain\r\n\r\n{data}\r\n--b--\r\n"
    )
}

fn read(body: &[u8], step: usize, limit: usize) -> Result<(Form, Vec<u8>), FormError> {
    let mut reader = FormReader::new(Boundary::new("b").unwrap(), limit);
    for chunk in body.chunks(step) {
        if let Progress::File(form) = reader.feed(chunk)? {
            return Ok((*form, reader.into_raw()));
        }
    }
    Err(reader.ended())
}

fn whole(body: &str) -> Result<Form, FormError> {
    read(body.as_bytes(), body.len().max(1), DEFAULT_FORM_BYTES).map(|(form, _)| form)
}

#[test]
fn reads_up_to_the_file_in_any_pieces() {
    let body = [
        part("Key", "user/${filename}"),
        part("acl", "private"),
        part("X-Amz-Server-Side-Encryption", "AES256"),
        part("x-amz-signature", "abc"),
        part(
            "tagging",
            "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2</Value></Tag></TagSet></Tagging>",
        ),
        file("photo.jpg", "DATA--b"),
    ]
    .concat();
    for step in [1, 2, 3, 5, 64, 4096] {
        let (form, raw) = read(body.as_bytes(), step, DEFAULT_FORM_BYTES).unwrap();
        assert_eq!(form.key(), "user/photo.jpg");
        assert!(raw[form.file_offset()..].starts_with(b"D") || raw.len() == form.file_offset());
        assert!(body.as_bytes().starts_with(&raw));
        assert_eq!(form.headers()["x-amz-server-side-encryption"], "AES256");
        assert_eq!(form.headers()["x-amz-acl"], "private");
        assert_eq!(form.headers()["x-amz-tagging"], "a%20b=1%262");
        assert!(!form.headers().contains_key("x-amz-signature"));
        assert_eq!(form.text("x-amz-signature"), Some("abc"));
        assert_eq!(form.fields().len(), 5);
        assert!(!format!("{form:?}").contains("abc"));
    }
}

#[test]
fn refuses_as_s3_does() {
    assert_eq!(whole(&file("f", "x")).unwrap_err(), FormError::NoKey);
    assert_eq!(
        whole(&[part("key", ""), file("f", "x")].concat()).unwrap_err(),
        FormError::NoKey
    );
    assert_eq!(
        whole(&[part("key", "k"), "--b--\r\n".into()].concat()).unwrap_err(),
        FormError::NoFile
    );
    assert_eq!(
        whole(&[part("key", &"k".repeat(1025)), file("f", "x")].concat()).unwrap_err(),
        FormError::KeyTooLong
    );
    assert!(matches!(
        whole(&part("key", "k")).unwrap_err(),
        FormError::Malformed(_)
    ));
    assert!(matches!(
        whole(&[part("key", "../other/k"), file("f", "x")].concat()),
        Err(FormError::Invalid { .. })
    ));
}

#[test]
fn refuses_what_can_be_read_in_two_ways() {
    let key = part("key", "k");
    for bad in [
        ["\r\n", &key, &file("f", "x")].concat(),
        ["preamble\r\n", &key, &file("f", "x")].concat(),
        [&part("KEY", "l"), key.as_str(), &file("f", "x")].concat(),
        [
            &part("acl", "private"),
            &part("x-amz-acl", "private"),
            key.as_str(),
            &file("f", "x"),
        ]
        .concat(),
        [
            &part(
                "a",
                "x\n--b\nContent-Disposition: form-data; name=\"acl\"\n\ny",
            ),
            key.as_str(),
            &file("f", "x"),
        ]
        .concat(),
        [&part("a", "x--b"), key.as_str(), &file("f", "x")].concat(),
        [&part("a", "x\r\n--bc"), key.as_str(), &file("f", "x")].concat(),
        [&part("a", "x\r\n--b "), key.as_str(), &file("f", "x")].concat(),
        key.replace("\r\n", "\n") + &file("f", "x"),
        key.replace("--b\r\n", "--b \r\n") + &file("f", "x"),
        // An empty part whose delimiter follows its headers at once.
        [
            "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n--b\r\n",
            key.trim_start_matches("--b\r\n"),
            &file("f", "x"),
        ]
        .concat(),
        [
            &part("x-amz-server-side-encryption", "AES256\r\nX: y"),
            key.as_str(),
            &file("f", "x"),
        ]
        .concat(),
        [
            &part("x-amz-storage-class", "${filename}"),
            key.as_str(),
            &file("f", "x"),
        ]
        .concat(),
        [
            &part("tagging", "<Tagging/>"),
            key.as_str(),
            &file("f", "x"),
        ]
        .concat(),
        [&part("x-amz-(", "v"), key.as_str(), &file("f", "x")].concat(),
        // Readers that take a part with a file's name for a file see no such field.
        [
            &part("x-amz-server-side-encryption\"; filename=\"a", "AES256"),
            key.as_str(),
            &file("f", "x"),
        ]
        .concat(),
        [
            &part("x-amz-server-side-encryption\"; filename=\"", "AES256"),
            key.as_str(),
            &file("f", "x"),
        ]
        .concat(),
    ] {
        assert!(whole(&bad).is_err(), "{bad}");
    }
}

/// Many names of a long file would be a key of megabytes.
#[test]
fn a_key_that_grows_too_long_is_not_written_out() {
    let long = "a".repeat(10_000);
    let body = [part("key", &"${filename}".repeat(890)), file(&long, "x")].concat();
    let cost = effort::of(|| assert!(matches!(whole(&body), Err(FormError::KeyTooLong))));
    assert!(cost <= 20 * body.len(), "{cost} of {}", body.len());
    let fits = [
        part("key", &"${filename}".repeat(4)),
        file(&long[..256], "x"),
    ]
    .concat();
    assert_eq!(whole(&fits).unwrap().key().len(), 1024);
}

#[test]
fn the_key_is_the_one_the_store_sees() {
    let form =
        |name: &str| whole(&[part("key", "${filename}/${filename}${x}"), file(name, "x")].concat());
    assert_eq!(form("a").unwrap().key(), "a/a${x}");
    for name in [
        "",
        "d/a",
        "C:\\a",
        "a%2fb",
        "a;b",
        "a\x01",
        "${filename}",
        "\u{fffd}\u{7f}",
    ] {
        assert!(
            matches!(
                form(name),
                Err(FormError::Invalid { .. } | FormError::Malformed(_))
            ),
            "{name}"
        );
    }
    // Where it does not matter, any name may stand.
    assert_eq!(
        whole(&[part("key", "k"), file("d/a", "x")].concat())
            .unwrap()
            .key(),
        "k"
    );
}

#[test]
fn what_some_readers_trim_is_refused() {
    for (name, value) in [
        ("key", " k"),
        ("key", "k "),
        ("key", "\tk"),
        ("key", "k\r\n"),
        ("key", "\u{a0}k"),
        ("key", "k\x1f"),
        ("key", " "),
        ("key", "${filename} "),
        ("key", " ${filename}"),
        ("acl", " public-read"),
        ("x-amz-server-side-encryption", "AES256 "),
        ("X-Amz-Storage-Class", "\tGLACIER"),
        ("x-amz-credential", " AK/20260101/us-east-1/s3/aws4_request"),
        ("awsaccesskeyid", "AK\n"),
    ] {
        let key = if name == "key" { "" } else { &part("key", "k") };
        let body = [key, &part(name, value), &file("f", "x")].concat();
        assert!(
            matches!(whole(&body), Err(FormError::Invalid { name: of, .. }) if of == name.to_lowercase()),
            "{name} {value:?}"
        );
    }
    let body = [part("key", "${filename}"), file(" f", "x")].concat();
    assert!(matches!(whole(&body), Err(FormError::Invalid { .. })));
    // White space within, and around what decides nothing.
    let body = [
        part("key", "a b"),
        part("x-amz-meta-a", " x "),
        part("submit", "Go\n"),
        file(" f", "x"),
    ]
    .concat();
    assert_eq!(whole(&body).unwrap().key(), "a b");
}

/// A piece of one byte costs a client nothing: it must not cost a search of all that came before.
#[test]
fn each_byte_is_searched_once_in_whatever_pieces() {
    let long = |byte: &str| byte.repeat(9000);
    for body in [
        part("a", &long("x")),
        part("a", &long("-")),
        part("a", &long("\r")),
        part("a", &long("\r\n-")),
        part(&long("x"), "a"),
        part(&long("-"), "a"),
        part(&"a\r\nb: ".repeat(3000), "a"),
        (0..400).map(|n| part(&n.to_string(), "")).collect(),
        // Behind the file.
        part("key", "k") + &file("f", &long("\r\n--")),
        part("key", "k") + &file("f", "x").replace("--b--", &part(&"x".repeat(4000), "a")),
    ] {
        let cost = |step| {
            effort::of(|| {
                let mut reader = FormReader::new(Boundary::new("b").unwrap(), 1 << 20);
                let mut tail = None;
                for chunk in body.as_bytes().chunks(step) {
                    match &mut tail {
                        None => match reader.feed(chunk) {
                            Ok(Progress::More) => {}
                            Ok(Progress::File(form)) => {
                                let mut watch = Tail::new(&Boundary::new("b").unwrap());
                                watch.feed(&reader.raw()[form.file_offset()..]).unwrap();
                                tail = Some(watch);
                            }
                            Err(_) => return,
                        },
                        Some(watch) => {
                            let _ = watch.feed(chunk);
                        }
                    }
                }
            })
        };
        let at_once = cost(body.len());
        assert!(at_once <= 20 * body.len(), "{at_once} of {}", body.len());
        for step in [1, 2, 7, 100] {
            let cut = cost(step);
            assert!(cut <= 20 * body.len(), "{cut} of {}, {step}", body.len());
        }
    }
}

#[test]
fn is_bounded() {
    let body = [
        part("key", "k"),
        part("x-ignore-a", &"a".repeat(200)),
        file("f", &"x".repeat(5000)),
    ]
    .concat();
    let offset = read(body.as_bytes(), 7, 4096).unwrap().0.file_offset();
    assert!(read(body.as_bytes(), 7, offset).is_ok());
    assert!(read(body.as_bytes(), body.len(), offset).is_ok());
    for step in [7, body.len()] {
        assert_eq!(
            read(body.as_bytes(), step, offset - 1).unwrap_err(),
            FormError::TooLarge { limit: offset - 1 }
        );
    }
}

proptest! {
    /// However the bytes are cut, the result is the same; and nothing panics.
    #[test]
    fn cuts_do_not_matter(
        names in proptest::collection::vec("[a-zA-Z-]{1,6}|key|Key|acl|file|x-amz-acl", 0..6),
        value in "[ -~\r\n]{0,12}|\r\n--b|--b--",
        junk in "[ -~\r\n]{0,8}",
        steps in (1_usize..9, 1_usize..99),
    ) {
        let mut body: String = names.iter().map(|name| part(name, &value)).collect();
        body.push_str(&junk);
        body.push_str(&file("f", "x"));
        let told = |step| read(body.as_bytes(), step, 4096).map(|(form, _)| (form.key().to_owned(), form.file_offset(), form.fields().to_vec()));
        let (one, two) = (told(steps.0), told(steps.1));
        prop_assert_eq!(one.is_ok(), two.is_ok());
        if let (Ok(one), Ok(two)) = (one, two) {
            prop_assert_eq!(one, two);
        }
    }

    /// A form made by the rules is read back field for field.
    #[test]
    fn well_made_forms_come_back(values in proptest::collection::vec("[ -~]{0,30}", 1..8), data in "[ -~\r\n]{0,50}") {
        prop_assume!(values.iter().all(|value| !value.contains("--b")));
        let mut body = part("key", "k");
        for (at, value) in values.iter().enumerate() {
            body.push_str(&part(&format!("x-amz-meta-{at}"), value));
        }
        body.push_str(&file("f", &data));
        match whole(&body) {
            Ok(form) => {
                for (at, value) in values.iter().enumerate() {
                    prop_assert_eq!(form.headers()[format!("x-amz-meta-{at}").as_str()].as_bytes(), value.as_bytes());
                }
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn nothing_panics(body in proptest::collection::vec(prop_oneof![Just(b'-'), Just(b'b'), Just(b'\r'), Just(b'\n'), Just(b':'), Just(b'"'), any::<u8>()], 0..200), step in 1_usize..50) {
        let _ = read(&body, step, 100);
        let mut tail = Tail::new(&Boundary::new("b").unwrap());
        let _ = body.chunks(step).try_for_each(|chunk| tail.feed(chunk));
    }
}

#[test]
fn the_fields_of_other_stores_are_refused() {
    for name in ["x-minio-fanout-list", "X-Minio-Anything"] {
        let body = [
            part("key", "k"),
            part(name, "{\"key\":\"secret/k\"}"),
            file("f", "x"),
        ]
        .concat();
        assert!(
            matches!(whole(&body), Err(FormError::Extension(_))),
            "{name}"
        );
    }
}
