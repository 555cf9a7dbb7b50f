//! A Proxmox that answers what a script says, for the fuzzers: they are after
//! what answers do to a call, and need many of them a second.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::transport::{Answer, Lost};

/// Answers, one for each request. When they are used up, no more come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Vec<u8>>,
    sent: Vec<Sent>,
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) form: Option<String>,
}

impl Script {
    /// Each answer is a line `STATUS REASON`, or `lost`, and then the body.
    pub(crate) fn new(answers: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(Rc::new(RefCell::new(State {
            answers: answers.into_iter().collect(),
            sent: Vec::new(),
        })))
    }

    /// What has been asked so far.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.0.borrow().sent.clone()
    }

    pub(super) fn answer(
        &self,
        method: &'static str,
        url: &str,
        form: Option<String>,
    ) -> Result<Answer, Lost> {
        let mut state = self.0.borrow_mut();
        state.sent.push(Sent {
            method,
            url: url.to_owned(),
            form,
        });
        let lost = || Lost::Broken("the script has no more answers".into());
        let text = state.answers.pop_front().ok_or_else(lost)?;
        let (head, body) = match text.iter().position(|byte| *byte == b'\n') {
            Some(end) => text.split_at(end),
            None => (text.as_slice(), &b""[..]),
        };
        let head = String::from_utf8_lossy(head);
        let (status, reason) = match head.split_once(' ') {
            Some((status, reason)) => (status, Some(reason.to_owned())),
            None => (head.as_ref(), None),
        };
        Ok(Answer {
            status: status.parse().map_err(|_| lost())?,
            reason,
            body: body.strip_prefix(b"\n").unwrap_or(body).to_vec(),
            ..Answer::default()
        })
    }
}
