//! Requests to the API, and how their answers are read.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use pve_api::{Call, Method, Vmid, calls};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cluster_status::{ClusterEntry, Membership};
use super::decode::{self, Losses, ReadAt, Unreadable};
use super::failure::{Asked, Held};
use super::failure::{ErrorResponse, Failure, NoAnswer, NotSent, OddAnswer};
use super::params::Params;
use super::request::{At, Request};
#[cfg(any(test, fuzzing))]
use super::script::Script;
use super::transport::{self, Answer, Lost};
use crate::settings::Settings;

/// A client of one Proxmox address.
#[derive(Debug)]
pub(crate) struct Pve {
    settings: Settings,
    /// What could not be read of the answers, by call.
    losses: RefCell<BTreeMap<String, Losses>>,
    /// What the host lets this server see, if that is not all.
    scope: RefCell<Option<String>>,
    /// Which nodes are online, once it has been asked for.
    membership: OnceCell<Membership>,
    /// What the token may do, once it has been asked for.
    held: OnceCell<Option<Held>>,
    /// Reads that were started ahead of their turn.
    ahead: RefCell<Ahead>,
    /// Answers instead of Proxmox.
    #[cfg(any(test, fuzzing))]
    script: Option<Script>,
}

/// What a list shows to a token only where the token has a privilege.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Listed {
    Guests,
    /// Guests, where each pool that they are in is listed too.
    GuestsOfPools,
    Pools,
    Storages,
    Nodes,
    /// Tasks of other users.
    Tasks,
    /// Users and the access control list.
    Access,
    /// Entries of the cluster's log.
    Log,
}

impl Listed {
    /// The privilege that it takes to see all of it.
    fn needs(self) -> &'static str {
        match self {
            Self::Guests => "VM.Audit on /vms",
            Self::GuestsOfPools => "VM.Audit on /vms or the pool",
            Self::Pools => "Pool.Audit on /pool",
            Self::Storages => "Datastore.Audit on /storage",
            Self::Nodes | Self::Tasks => "Sys.Audit on /nodes",
            Self::Access => "Sys.Audit on /access",
            Self::Log => "Sys.Syslog on /",
        }
    }
}

/// One page of a list, and how long the whole list is where Proxmox says it.
#[derive(Debug)]
pub(crate) struct Paged<T> {
    pub(crate) data: T,
    pub(crate) total: Option<u64>,
}

impl Pve {
    /// A client with these settings.
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            losses: RefCell::default(),
            scope: RefCell::default(),
            membership: OnceCell::new(),
            held: OnceCell::new(),
            ahead: RefCell::default(),
            #[cfg(any(test, fuzzing))]
            script: None,
        }
    }

    /// A client whose requests a script answers.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn scripted(settings: Settings, script: Script) -> Self {
        Self {
            script: Some(script),
            ..Self::new(settings)
        }
    }

    /// The address of the web interface, without a trailing slash.
    pub(crate) fn base(&self) -> &str {
        &self.settings.base
    }

    /// How a message calls the token in use.
    pub(crate) fn token_name(&self) -> &str {
        self.settings.token_name()
    }

    /// What to say where a list came back empty: a token without rights sees
    /// nothing, and Proxmox does not call that an error.
    pub(crate) fn empty_hint(&self, listed: Listed) -> String {
        if self.skipped().is_some() {
            return "no part of Proxmox's response could be read: see skipped".into();
        }
        if let Some(scope) = self.scope() {
            return format!(
                "nothing is visible: everything is outside this server's scope ({scope}), or \
                 nothing exists"
            );
        }
        format!(
            "nothing is visible: nothing exists, or the token {} lacks {} (a privilege-separated \
             token needs its own permissions, under Datacenter, Permissions)",
            self.token_name(),
            listed.needs()
        )
    }

    /// What the host lets this server see, such as `vmids 200-299`; absent where
    /// it has taken nothing out of the answers so far.
    pub(crate) fn scope(&self) -> Option<String> {
        self.scope.borrow().clone()
    }

    /// Why a guest is not among those that are listed, as far as that can be
    /// told: it does not exist, or this.
    pub(crate) fn unseen(&self, vmid: Option<Vmid>) -> String {
        if let Some(scope) = self.scope() {
            return format!("it is outside this server's scope ({scope})");
        }
        let path = vmid.map_or_else(|| "/vms".to_owned(), |vmid| format!("/vms/{vmid}"));
        format!(
            "the token {} may not see it (it needs VM.Audit on {path})",
            self.token_name()
        )
    }

    /// The members of the cluster, read once per call. Empty for a token without
    /// Sys.Audit on /, which may not read them: then only the answers of a node
    /// show whether it is offline.
    pub(crate) fn membership(&self) -> &Membership {
        self.membership.get_or_init(|| {
            let request = calls::cluster::STATUS.at([]);
            let entries: Vec<ClusterEntry> =
                self.send(&request, &Params::new()).unwrap_or_default();
            self.forget_skipped(&request);
            entries.into_iter().collect()
        })
    }

    /// Whether no guest can be hidden from this call: neither by the token's
    /// privileges, nor by this server's scope.
    pub(crate) fn sees_all_guests(&self) -> bool {
        self.scope().is_none() && self.held().is_some_and(Held::audits_all_guests)
    }

    /// What the token may do, read once per call; absent if it cannot be read.
    pub(crate) fn held(&self) -> Option<&Held> {
        let read = || match self.once_value(&calls::access::PERMISSIONS)? {
            Value::Object(paths) => Some(Held::read(&paths)),
            _ => None,
        };
        self.held.get_or_init(read).as_ref()
    }

    /// What could not be read of the answers so far, in words for the result
    /// that was made of them: "1 entry that could not be read (…)".
    ///
    /// Reads take what they can, see [`decode`]. The loss is reported once, for
    /// all tools alike, where a result leaves the component.
    pub(crate) fn skipped(&self) -> Option<String> {
        let losses = self.losses.borrow();
        let entries: usize = losses.values().map(|losses| losses.entries).sum();
        let mut parts = Vec::new();
        if entries > 0 {
            let examples: Vec<String> = losses
                .iter()
                .filter_map(|(call, losses)| Some(format!("{call}: {}", losses.example.as_ref()?)))
                .take(3)
                .collect();
            let what = if entries == 1 { "entry" } else { "entries" };
            parts.push(format!(
                "{entries} {what} that could not be read ({})",
                examples.join("; ")
            ));
        }
        for (call, losses) in losses
            .iter()
            .filter(|(_, losses)| !losses.fields.is_empty())
        {
            let names: Vec<&str> = losses.fields.iter().map(String::as_str).take(8).collect();
            parts.push(format!(
                "values that could not be read: {} ({call})",
                names.join(", ")
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    /// Forgets what could not be read of the answers to a call, where it has
    /// nothing to do with the result.
    pub(crate) fn forget_skipped(&self, request: &Request) {
        self.losses.borrow_mut().remove(&request.to_string());
    }

    /// Notes values of the answer to a call that could not be read, where their
    /// reader has found it out.
    pub(crate) fn note_unreadable<'a>(
        &self,
        request: &Request,
        names: impl IntoIterator<Item = &'a str>,
    ) {
        let mut names = names.into_iter().peekable();
        if names.peek().is_none() {
            return;
        }
        let mut losses = self.losses.borrow_mut();
        let losses = losses.entry(request.to_string()).or_default();
        losses.fields.extend(names.map(decode::name));
    }

    /// Starts reads that will be sent in any case, so that Proxmox works on
    /// several at the same time. [`Self::send`] then takes the answer of each
    /// where it would have sent it, and sends again what was lost. What an earlier
    /// start left over is given up.
    pub(crate) fn start(&self, requests: impl IntoIterator<Item = (Request, Params)>) {
        #[cfg(any(test, fuzzing))]
        if self.script.is_some() {
            return;
        }
        let mut ahead = self.ahead.borrow_mut();
        *ahead = Ahead::default();
        for (request, params) in requests {
            if !request.writes() && request.mistake(&params).is_none() {
                ahead.waiting.push_back(self.url(&request, &params));
            }
        }
        ahead.advance(&self.settings);
    }

    /// Sends a request and decodes its answer.
    pub(crate) fn send<T: DeserializeOwned>(
        &self,
        request: &Request,
        params: &Params,
    ) -> Result<T, Failure> {
        self.send_paged(request, params).map(|page| page.data)
    }

    /// Sends a request for a page of a list.
    pub(crate) fn send_paged<T: DeserializeOwned>(
        &self,
        request: &Request,
        params: &Params,
    ) -> Result<Paged<T>, Failure> {
        let mut data = None;
        let any_data = size_of::<T>() == 0;
        let total = self.read(request, params, any_data, &mut decode::into(&mut data))?;
        match data {
            Some(data) => Ok(Paged { data, total }),
            None => Err(unreadable(request, Unreadable::NoData)),
        }
    }

    /// Sends a request and has its answer read. The same code for all types.
    fn read(
        &self,
        request: &Request,
        params: &Params,
        any_data: bool,
        read: &mut ReadAt<'_>,
    ) -> Result<Option<u64>, Failure> {
        let answer = self.answer(request, params)?;
        let (total, losses) = decode::read_body(&answer.body, any_data, read)
            .map_err(|why| unreadable(request, why))?;
        if !losses.is_empty() {
            self.losses.borrow_mut().insert(request.to_string(), losses);
        }
        Ok(total)
    }

    /// Asks until there is an answer, for about three seconds in all: services
    /// of Proxmox are away for a second or two whenever a certificate is
    /// renewed or a package upgraded. A read may be asked again however it was
    /// lost; a change is sent again only where it certainly did not arrive, so
    /// nothing is ever done twice.
    fn answer(&self, request: &Request, params: &Params) -> Result<Answer, Failure> {
        let writes = request.writes();
        let mut pauses = self.pauses().iter();
        let mut earlier = None;
        loop {
            let failure = match self.once(request, params) {
                Ok(answer) => return Ok(answer),
                // What it takes to ask again may be more than the host allows.
                Err(refused @ Failure::Refused(_)) => return Err(earlier.unwrap_or(refused)),
                Err(failure) => failure,
            };
            let again = failure.is_outage() && (!writes || failure.never_arrived());
            match pauses.next() {
                Some(pause) if again => std::thread::sleep(Duration::from_millis(*pause)),
                _ => return Err(self.look_into(failure)),
            }
            earlier = Some(failure);
        }
    }

    fn once(&self, request: &Request, params: &Params) -> Result<Answer, Failure> {
        let call = request.to_string();
        if let Some(mistake) = request.mistake(params) {
            return Err(Failure::Mistaken(Box::new(NotSent { call, why: mistake })));
        }
        let url = self.url(request, params);
        let form = has_body(request.method()).then(|| params.encode());
        let writes = request.writes();
        let lost = |message, maybe_done, outage| {
            Failure::Transport(Box::new(NoAnswer {
                call: call.clone(),
                message,
                maybe_done,
                outage,
            }))
        };
        let answer = self
            .exchange(request.method(), &url, form)
            .map_err(|why| match why {
                Lost::Refused(why) => Failure::Refused(Box::new(NotSent {
                    call: call.clone(),
                    why,
                })),
                Lost::Closed(message) => lost(message, false, true),
                Lost::NotSent(message) => lost(message, false, false),
                Lost::Cut(message) => lost(message, writes, true),
                Lost::Broken(message) => lost(message, writes, false),
            })?;
        if answer.scope.is_some() {
            self.scope.replace(answer.scope.clone());
        }
        match self.error_in(request, params, &answer) {
            Some(error) => Err(Failure::Api(Box::new(error))),
            None => Ok(answer),
        }
    }

    /// The error that an answer is, if it is one: by its status, by a status in its
    /// body, or by what a guest's agent says.
    fn error_in(
        &self,
        request: &Request,
        params: &Params,
        answer: &Answer,
    ) -> Option<ErrorResponse> {
        let asked = || Asked {
            request: request.clone(),
            token: self.token_name().to_owned(),
            sent: Asked::sent(params),
            route: self.settings.route(),
        };
        let failed = match answer.status {
            200..=299 => decode::failed_status(&answer.body),
            other => Some(other),
        };
        match failed {
            Some(status) => Some(ErrorResponse::read(asked(), status, answer)),
            None if request.asks_agent() => decode::agent_error(&answer.body)
                .map(|(class, text)| ErrorResponse::of_agent(asked(), &class, &text)),
            None => None,
        }
    }

    fn url(&self, request: &Request, params: &Params) -> String {
        let mut url = format!("{}{}", self.settings.base, request.url_path());
        if !has_body(request.method()) && !params.is_empty() {
            url.push('?');
            url.push_str(&params.encode());
        }
        url
    }

    /// Asks Proxmox what an error does not say: what the token may do, or which
    /// version it is that does not know a call.
    fn look_into(&self, failure: Failure) -> Failure {
        let Failure::Api(mut error) = failure else {
            return failure;
        };
        if error.foreign.is_some() {
            return Failure::Api(error);
        }
        match error.status {
            403 => error.held = self.held().cloned(),
            501 => {
                error.version = self
                    .once_value(&calls::cluster::VERSION)
                    .and_then(|version| version.get("version")?.as_str().map(str::to_owned));
            }
            _ => {}
        }
        Failure::Api(error)
    }

    /// The answer to a call without names or parameters, asked for once.
    fn once_value(&self, call: &'static Call) -> Option<Value> {
        let answer = self.once(&call.at([]), &Params::new()).ok()?;
        let mut value = None;
        decode::read_body(&answer.body, false, &mut decode::into(&mut value)).ok()?;
        value
    }

    /// How long to wait before a request is sent again, in milliseconds.
    fn pauses(&self) -> &'static [u64] {
        #[cfg(any(test, fuzzing))]
        if self.script.is_some() {
            return &[0, 0];
        }
        &[100, 200, 400, 600, 800, 900]
    }

    /// Waits, except where a script answers.
    pub(crate) fn pause(&self, pause: Duration) {
        #[cfg(any(test, fuzzing))]
        if self.script.is_some() {
            return;
        }
        std::thread::sleep(pause);
    }

    fn exchange(&self, method: Method, url: &str, form: Option<String>) -> Result<Answer, Lost> {
        #[cfg(any(test, fuzzing))]
        if let Some(script) = &self.script {
            return script.answer(method.as_str(), url, form);
        }
        let started = match method {
            Method::Get => self.ahead.borrow_mut().take(url),
            _ => None,
        };
        let answer = match started {
            Some(sent) => transport::receive(&self.settings, sent?),
            None => transport::send(&self.settings, method, url, form),
        };
        self.ahead.borrow_mut().advance(&self.settings);
        answer
    }
}

/// The failure of a request whose answer cannot be read.
#[cold]
fn unreadable(request: &Request, why: Unreadable) -> Failure {
    Failure::Unreadable(Box::new(OddAnswer {
        call: request.to_string(),
        why,
        maybe_done: request.writes(),
    }))
}

/// pveproxy takes no body on GET and DELETE.
fn has_body(method: Method) -> bool {
    matches!(method, Method::Post | Method::Put)
}

/// Reads that were started ahead of their turn, by their addresses.
#[derive(Debug, Default)]
struct Ahead {
    started: Vec<(String, Result<transport::Sent, Lost>)>,
    waiting: VecDeque<String>,
}

/// How many reads are started ahead. host-runner lets a call have one more
/// request open, which is the one whose turn it is.
const MOST_AHEAD: usize = 3;

impl Ahead {
    /// Starts as many as may be.
    fn advance(&mut self, settings: &Settings) {
        while self.started.len() < MOST_AHEAD
            && let Some(url) = self.waiting.pop_front()
        {
            let sent = transport::start(settings, Method::Get, &url, None);
            self.started.push((url, sent));
        }
    }

    /// The request to this address, if it was started. If it waits, it is left
    /// to the caller.
    fn take(&mut self, url: &str) -> Option<Result<transport::Sent, Lost>> {
        self.waiting.retain(|waiting| waiting != url);
        let index = self.started.iter().position(|(one, _)| one == url)?;
        Some(self.started.swap_remove(index).1)
    }
}
