//! Plays all field cases: what users of Proxmox ran into, one file each in
//! `tests/field/`. `FIELD=word` plays those whose file names hold the word.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::ensure;
use harness::field::{self, Case};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// The number of cases that run at the same time.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_case_comes_out_as_its_file_says() -> anyhow::Result<()> {
    let word = std::env::var("FIELD").unwrap_or_default();
    let cases = Case::all(field::folder())?
        .into_iter()
        .filter(|case| case.name.contains(&word));
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = JoinSet::new();
    for case in cases {
        let turns = Arc::clone(&turns);
        playing.spawn(async move {
            let _turn = turns.acquire().await;
            let problems = case.play().await;
            (case, problems)
        });
    }
    let mut faults = BTreeMap::new();
    let (mut passed, mut pending) = (0, 0);
    for (case, problems) in playing.join_all().await {
        match (&case.pending, problems.is_empty()) {
            (None, true) => passed += 1,
            (Some(why), false) => {
                pending += 1;
                println!("pending: {}: {why}\n  {}", case.name, problems.join("\n  "));
            }
            (Some(_), true) => {
                passed += 1;
                println!("{} passes now: take its \"pending\" out", case.name);
            }
            (None, false) => {
                faults.insert(case.name, problems.join("\n  "));
            }
        }
    }
    println!("{passed} cases passed, {pending} are pending");
    ensure!(passed + pending + faults.len() > 0, "no case is called so");
    let faults: Vec<String> = faults
        .into_iter()
        .map(|(name, fault)| format!("tests/field/{name}\n  {fault}"))
        .collect();
    ensure!(
        faults.is_empty(),
        "{} of the cases fail:\n{}",
        faults.len(),
        faults.join("\n")
    );
    Ok(())
}

/// A case about one node, that expects this of `list_nodes`.
fn case(expect: &str) -> anyhow::Result<Case> {
    let text = format!(
        r#"{{
            "about": "a test of the harness",
            "every_answer_is_asked": true,
            "answers": {{
                "GET /nodes": {{"data": [{{"node": "n1", "status": "online", "maxcpu": 8}}]}},
                "GET /version": {{"data": {{}}}}
            }},
            "calls": [{{"tool": "list_nodes", "expect": {expect}}}]
        }}"#
    );
    Case::parse("self-test.json", &text)
}

#[tokio::test]
async fn each_wrong_expectation_is_reported() -> anyhow::Result<()> {
    let unasked = "no call asked for GET /version";
    for (expect, report) in [
        (r#"{"error": "any"}"#, "ended with success"),
        (r#"{"equal": {"/nodes/0/node": "n2"}}"#, "not \"n2\""),
        (r#"{"equal": {"/nodes[node=n2]/cpus": 8}}"#, "is absent"),
        (r#"{"equal": {"/nodes[node=n1]/cpus": 9}}"#, "not 9"),
        (r#"{"present": ["/nodes/1"]}"#, "/nodes/1 is absent"),
        (r#"{"absent": ["/nodes/0"]}"#, "/nodes/0 is there"),
        (r#"{"count": {"/nodes": 2}}"#, "1 entries, not 2"),
        (r#"{"contains": {"/nodes/0": ["offline"]}}"#, "offline"),
        (r#"{"says": [["n2", "n3"]]}"#, r#""n2" or "n3""#),
        (r#"{"never_says": ["ONLINE"]}"#, "says \"ONLINE\""),
        (r#"{"requests": {"GET /nodes": 0}}"#, "was sent 1 times"),
        (r#"{"requests": {"POST *": "some"}}"#, "was sent 0 times"),
        (r#"{"max_bytes": 20}"#, "more than 20"),
        ("{}", unasked),
    ] {
        let problems = case(expect)?.play().await;
        ensure!(
            problems.iter().any(|problem| problem.contains(report)),
            "{expect} is not reported: {problems:?}"
        );
        ensure!(problems.iter().any(|problem| problem.contains(unasked)));
    }
    Ok(())
}

#[tokio::test]
async fn a_true_expectation_is_not_reported() -> anyhow::Result<()> {
    let expect = r#"{
        "equal": {"/nodes[node=n1]/cpus": 8},
        "present": ["/nodes/0"],
        "absent": ["/nodes/1", "/nodes[node=n2]"],
        "count": {"/nodes": 1},
        "contains": {"/nodes/0": ["N1", ["online", "offline"]]},
        "says": ["n1"],
        "never_says": ["n2"],
        "requests": {"GET /nodes": 1, "POST *": 0, "* /v*": "any"},
        "max_bytes": 2000
    }"#;
    let mut case = case(expect)?;
    case.every_answer_is_asked = false;
    let problems = case.play().await;
    ensure!(problems.is_empty(), "{problems:?}");
    Ok(())
}

#[test]
fn a_file_with_an_unknown_key_is_refused() {
    for (wrong, named) in [
        (r#"{"equals": {}}"#, "equals"),
        (r#"{"error": "wrong"}"#, "wrong"),
        (r#"{"requests": {"GET /": -1}}"#, "how often"),
        (r#"{"says": [1]}"#, "words"),
    ] {
        let error = case(wrong).expect_err(wrong);
        assert!(format!("{error:#}").contains(named), "{error:#}");
    }
}
