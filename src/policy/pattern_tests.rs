#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::super::evaluate::NoContext;
use super::*;

const GLOB: Syntax = Syntax {
    wildcards: true,
    variables: false,
    recorded: false,
};

fn hit(pattern: &str, text: &str) -> bool {
    Pattern::compile(pattern, GLOB).unwrap().matches(
        Subject::text(text.as_bytes()),
        Action::GetObject,
        &NoContext,
    ) == Matched::Yes
}

#[test]
fn the_documented_table() {
    let p = "bucket/*/test/*";
    for text in [
        "bucket/1/test/object.jpg",
        "bucket/1/2/test/3/object.jpg",
        "bucket/1///test///object.jpg",
        "bucket//test/o",
        "bucket/1/test/.jpg",
    ] {
        assert!(hit(p, text), "{text}");
    }
    for text in [
        "bucket/1-test/object.jpg",
        "bucket/test/object.jpg",
        "bucket/1/2/test.jpg",
    ] {
        assert!(!hit(p, text), "{text}");
    }
}

#[test]
fn a_question_mark_is_one_character() {
    assert!(
        hit("a?b", "a/b")
            && hit("a?b", "aéb")
            && hit("?", "😀")
            && !hit("a?b", "ab")
            && !hit("?", "")
    );
    assert!(hit("**", "") && hit("", "") && !hit("", "x"));
}

#[test]
fn arns_split_outside_variables() {
    assert_eq!(
        split_arn("arn:aws:s3:::b/${aws:username}:x"),
        Some(["arn", "aws", "s3", "", "", "b/${aws:username}:x"])
    );
    assert_eq!(
        split_arn("arn:aws:iam::${aws:PrincipalAccount}:user/x").unwrap()[4],
        "${aws:PrincipalAccount}"
    );
    assert_eq!(split_arn("alias/my"), None);
    assert_eq!(split_arn("arn:${aws:x"), None);
}

fn naive(p: &[char], t: &[char]) -> bool {
    match (p.split_first(), t.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => (0..=t.len()).any(|i| naive(rest, &t[i..])),
        (Some(('?', rest)), Some((_, tail))) => naive(rest, tail),
        (Some((c, rest)), Some((d, tail))) => c == d && naive(rest, tail),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

proptest! {
    #[test]
    fn globs_as_the_plain_definition(p in "[ab/é*?]{0,8}", t in "[ab/é]{0,10}") {
        let (pc, tc): (Vec<char>, Vec<char>) = (p.chars().collect(), t.chars().collect());
        prop_assert_eq!(hit(&p, &t), naive(&pc, &tc));
    }

    #[test]
    fn a_pair_is_its_join(p in "[ab/*?]{0,8}", h in "[ab]{0,4}", k in proptest::collection::vec(any::<u8>(), 0..6)) {
        let pattern = Pattern::compile(&p, GLOB).unwrap();
        let joined = [h.as_bytes(), b"/", &k].concat();
        prop_assert_eq!(
            pattern.matches(Subject::pair(h.as_bytes(), &k), Action::GetObject, &NoContext),
            pattern.matches(Subject::text(&joined), Action::GetObject, &NoContext)
        );
    }
}
