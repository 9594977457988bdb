//! Which models a key serves.

use key_commune::demand::{Models, ModelsError};

fn models(text: &str) -> Models {
    text.parse().unwrap()
}

#[test]
fn a_name_is_exact_and_cases_differ() {
    let models = models("gpt-4,org/o3:free");
    assert!(models.names("gpt-4") && models.names("org/o3:free"));
    for other in ["", "gpt", "gpt-4o", "GPT-4", " gpt-4", "gpt-4,org/o3:free", "gpt-4,"] {
        assert!(!models.names(other), "{other}");
    }
    assert!(!models.others());
}

#[test]
fn a_star_is_any_text_and_a_question_mark_one_character() {
    let models = models("gpt-4o*,o?,*-preview,c*x*z");
    for named in ["gpt-4o", "gpt-4o-mini", "o1", "oé", "-preview", "a-preview", "cxz", "c1x2z", "cxzxz"] {
        assert!(models.names(named), "{named}");
    }
    for other in ["gpt-4", "xgpt-4o", "o", "o12", "a-previews", "cz", "cxzz1", ""] {
        assert!(!models.names(other), "{other}");
    }
}

#[test]
fn others_is_a_rule_and_no_name() {
    let with = models("gpt-4,others");
    assert!(with.others() && !with.names("others") && !with.names("o1"));
    assert!(!models("gpt-4,Others,others?").others());
    assert!(models("Others").names("Others"));
    assert!(models("oth*").names("others"), "a model of that name is one like any other");
}

#[test]
fn the_text_reads_back() {
    for text in ["a", "others", "gpt-4,gpt-4o*,others", "?,*,**", "é,日本*"] {
        let models = models(text);
        assert_eq!(models.to_string(), text);
        let json = serde_json::to_string(&models).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<Models>(&json).unwrap(), models);
    }
    assert_eq!(models("b,a,b,others,a,others").as_str(), "b,a,others", "each once, as they stand");
    assert!(serde_json::from_str::<Models>("\"a,,b\"").unwrap_err().to_string().contains("empty"));
}

#[test]
fn equal_lists_are_equal_and_share() {
    let (one, two) = (models("a,b*"), models("a,b*"));
    assert_eq!(one, two);
    assert_eq!(one, one.clone());
    assert_ne!(one, models("a"));
    assert_ne!(one, models("b*,a"));
    let set: std::collections::HashSet<_> = [&one, &two].into();
    assert_eq!(set.len(), 1);
    assert_eq!(size_of::<Models>(), size_of::<usize>());
}

#[test]
fn i19_lists_are_bounded() {
    let error = |text: &str| text.parse::<Models>().unwrap_err();
    for empty in ["", ",", "a,", ",a", "a,,b"] {
        assert_eq!(error(empty), ModelsError::Empty, "{empty}");
    }
    for odd in ["a, b", " ", "a\t", "a\u{a0}b", "a\0", "a\u{85}", "a\nb", "a\u{1b}[31m"] {
        assert_eq!(error(odd), ModelsError::Character, "{odd:?}");
    }
    assert_eq!(models(&"a".repeat(256)).as_str().len(), 256);
    assert_eq!(error(&"a".repeat(257)), ModelsError::TooLong(257));
    let names = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    assert!(models(&names(256)).names("255"));
    assert_eq!(error(&names(257)), ModelsError::TooMany);
    assert_eq!(error(&",".repeat(1 << 20)), ModelsError::TooMany);
}

/// One that tries every way would not end.
#[test]
fn no_pattern_takes_long() {
    let patterns = format!("{}b", "*a".repeat(127));
    let models = models(&format!("{patterns},*a*a*a*a*b"));
    for _ in 0..1_000 {
        assert!(!models.names(&"a".repeat(256)));
    }
    assert!(models.names(&format!("{}b", "a".repeat(255))));
}
