//! The steps by which a new guest is made: each is a task of Proxmox, and the
//! next one starts when it has ended well.

use pve_api::call::{Params as Known, stands_for};
use pve_api::{Call, Grammar, GuestType, Upid, calls};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{At, Failure, Format, NotMade, Params, Pve, Started, Vmid, with_free_vmid};
use crate::text;
use crate::tool::follow::{self, Seen, Wait};
use crate::tool::report::{Change, Report, Status};
use crate::tool::secret::HIDDEN;
use crate::tool::ticket::{self, Pending, PendingTask};
use crate::tool::{Finished, Outcome, Reply};
use crate::tool_names;
use crate::tools::guests::addresses;

/// What no tool does.
pub(super) const REMOVAL: &str = "only the web interface removes a guest";

/// How long a new guest may take to report an address, in seconds.
const ADDRESS_SECONDS: u64 = 300;

/// How long to wait before the next look at its addresses.
const ADDRESS_PAUSE_MS: u32 = 3_000;

/// A new guest, as far as it is made.
#[derive(Debug, SerializeFields, DeserializeFields)]
#[serde(deny_unknown_fields)]
pub(super) struct Creation {
    guest_type: GuestType,
    node: String,
    vmid: Vmid,
    /// What to say when all is done.
    report: Report,
    /// What runs now.
    now: Step,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task: Option<Box<PendingTask>>,
    /// What follows, in order.
    then: Vec<Step>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Step {
    Create,
    Grow {
        disk: String,
        size: String,
    },
    Start,
    /// Wait until it has an address, until this moment.
    Address {
        until: Option<u64>,
    },
}

/// A template that has to be downloaded first.
#[derive(Debug, Clone, PartialEq, SerializeFields, DeserializeFields)]
#[serde(deny_unknown_fields)]
pub(super) struct Download {
    pub(super) storage: String,
    pub(super) template: String,
}

/// What a ticket of a creation holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// The template is being downloaded, and nothing of the guest exists.
    Download {
        task: Box<PendingTask>,
        wanted: Box<Wanted>,
    },
    Guest(Box<Creation>),
}

/// The parameters of a creation, and how to show it.
#[derive(Debug, SerializeFields, DeserializeFields)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) download: Option<Download>,
    /// What the preflight found.
    pub(super) checked: String,
    pub(super) guest_type: GuestType,
    pub(super) node: String,
    pub(super) vmid: Option<Vmid>,
    pub(super) name: Option<String>,
    /// All but the vmid.
    pub(super) settings: Vec<(String, String)>,
    pub(super) then: Vec<Step>,
    pub(super) warnings: Vec<String>,
    pub(super) next_step: String,
}

/// What to do first with a guest that was not started.
pub(super) fn start_hint(start: Option<bool>) -> String {
    match start {
        Some(true) => String::new(),
        _ => format!("{} starts it; ", tool_names::START_GUEST),
    }
}

/// What people call a guest of this type.
fn word(guest_type: GuestType) -> &'static str {
    match guest_type {
        GuestType::Qemu => "VM",
        GuestType::Lxc => "container",
    }
}

impl Step {
    fn words(&self, guest_type: GuestType) -> String {
        let kind = word(guest_type);
        match self {
            Self::Create => format!("create the {kind}"),
            Self::Grow { disk, size } => format!("grow {disk} to {size}"),
            Self::Start => format!("start the {kind}"),
            Self::Address { .. } => "wait for an address".to_owned(),
        }
    }

    /// What follows once a guest is made as it was asked for.
    pub(super) fn after(start: Option<bool>, wait_for_address: Option<bool>) -> Vec<Self> {
        let start = (start == Some(true)).then_some(Self::Start);
        let wait = (wait_for_address == Some(true)).then_some(Self::Address { until: None });
        start.into_iter().chain(wait).collect()
    }

    /// Whether a step of a ticket, which anyone may have written, is one that is
    /// made here.
    fn is_sound(&self) -> bool {
        match self {
            Self::Grow { disk, size } => Grammar::Disk.fits(disk) && Grammar::Size.fits(size),
            Self::Create | Self::Start | Self::Address { .. } => true,
        }
    }
}

/// The steps in words, in order.
fn listed<'a>(steps: impl IntoIterator<Item = &'a Step>, guest_type: GuestType) -> String {
    let words: Vec<String> = steps
        .into_iter()
        .map(|step| step.words(guest_type))
        .collect();
    words.join("; ")
}

impl Wanted {
    fn call(&self) -> &'static Call {
        match self.guest_type {
            GuestType::Qemu => &calls::create::VM,
            GuestType::Lxc => &calls::create::CONTAINER,
        }
    }

    /// Whether a ticket, which anyone may have written, holds what a call of the tool
    /// could have left in it.
    fn is_sound(&self) -> bool {
        let Known::These(known) = self.call().params() else {
            return false;
        };
        let is_known = |(name, value): &(String, String)| {
            let param = known.iter().find(|param| stands_for(param.name, name));
            name != "vmid" && param.is_some_and(|param| param.grammar.fits(value))
        };
        Format::Node.fits(&self.node)
            && self.settings.iter().all(is_known)
            && self.then.iter().all(Step::is_sound)
    }

    /// Every step with its settings.
    fn plan(&self) -> Vec<Change> {
        let change = |what: &str, to: String| Change {
            what: what.to_owned(),
            from: None,
            to: Some(to),
            waits_for_reboot: false,
        };
        let shown = |(name, value): &(String, String)| {
            let value = match name.as_str() {
                "password" => HIDDEN.to_owned(),
                "sshkeys" | "ssh-public-keys" => "(public keys)".to_owned(),
                _ => text::cut(value, 200),
            };
            change(name, value)
        };
        let mut plan = vec![change("checked", self.checked.clone())];
        if let Some(Download { storage, template }) = &self.download {
            plan.push(change("first", format!("download {template} to {storage}")));
        }
        plan.extend(self.settings.iter().map(shown));
        plan.extend(
            self.then
                .iter()
                .map(|step| change("then", step.words(self.guest_type))),
        );
        plan
    }

    /// Shows the plan, or carries it out.
    pub(super) fn run(
        self,
        pve: &Pve,
        preview: Option<bool>,
        wait: Option<bool>,
    ) -> Result<Reply<Report>> {
        match preview {
            Some(true) => Ok(self.preview()),
            _ => self.start(pve, wait),
        }
    }

    /// The plan, and nothing is done.
    pub(super) fn preview(self) -> Reply<Report> {
        let of = self
            .name
            .as_ref()
            .map_or_else(String::new, |name| format!(" {name}"));
        let mut report = Report::done(format!(
            "create {}{of} on {}",
            word(self.guest_type),
            self.node
        ));
        report.status = Status::Preview;
        report.vmid = self.vmid;
        report.node = Some(self.node.clone());
        report.changes = self.plan();
        report.warnings = self.warnings;
        Reply::report(report.next(format!("the same call without preview does it; {REMOVAL}")))
    }

    /// Begins with the download or the guest, and leaves the rest to the ticket.
    pub(super) fn start(mut self, pve: &Pve, wait: Option<bool>) -> Result<Reply<Report>> {
        let Some(download) = self.download.take() else {
            return self.make(pve, wait);
        };
        // A ticket holds no secret.
        if self.settings.iter().any(|(name, _)| name == "password") {
            return Err(Error::argument(
                "password",
                format!(
                    "needs a template that is on the node: {} fetches {}, then repeat the call; or \
                     give ssh_keys instead",
                    tool_names::DOWNLOAD_TEMPLATE,
                    download.template
                ),
            ));
        }
        let form = Params::new()
            .set("storage", &download.storage)
            .set("template", &download.template);
        let request = calls::storage::DOWNLOAD_TEMPLATE.at([&self.node]);
        let started: Started = pve.send(&request, &form)?;
        let what = format!(
            "download of template {} to {}",
            download.template, download.storage
        );
        let report = Report::done(what);
        let Started::Task(upid) = started else {
            return Ok(Reply::report(report.warn(format!(
                "Proxmox returned no task: {} shows whether the template is there; then repeat the call",
                tool_names::LIST_TEMPLATES
            ))));
        };
        let interim = self.interim(&report, &upid);
        if wait == Some(false) {
            return Ok(Reply::report(interim));
        }
        let text = interim.text();
        let state = State::Download {
            task: Box::new(PendingTask::new(upid, report, None)),
            wanted: Box::new(self),
        };
        Ok(Reply::Running(Pending::own(&state)?, interim, text))
    }

    /// What to answer a caller who does not wait for the download.
    fn interim(&self, report: &Report, upid: &Upid) -> Report {
        let mut interim = report.running(upid).warn(
            "this call did not wait, so the container was not created: repeat the call after the download",
        );
        interim.changes = self.plan();
        interim
    }

    /// Makes the guest, and leaves the rest to the ticket.
    fn make(self, pve: &Pve, wait: Option<bool>) -> Result<Reply<Report>> {
        let request = self.call().at([&self.node]);
        let (vmid, started) = with_free_vmid(pve, self.vmid, |vmid| {
            let form = self
                .settings
                .iter()
                .fold(Params::new().set("vmid", vmid), |form, (name, value)| {
                    form.set(name.clone(), value)
                });
            match pve.send::<Started>(&request, &form) {
                Err(Failure::Api(error)) if error.says("already exists") => Err(NotMade::Taken),
                Err(failure) => Err(NotMade::Failed(unsure(
                    failure,
                    &format!(
                        "guest {vmid} may have been made: look for it with {}",
                        tool_names::LIST_GUESTS
                    ),
                ))),
                Ok(started) => Ok(started),
            }
        })?;
        let of = self
            .name
            .as_ref()
            .map_or_else(String::new, |name| format!(" ({name})"));
        let action = format!(
            "create {} {vmid}{of} on {}",
            word(self.guest_type),
            self.node
        );
        let mut report = Report::done(action);
        report.vmid = Some(vmid);
        report.node = Some(self.node.clone());
        report.changes = self.plan();
        report.warnings = self.warnings;
        report.next_step = Some(self.next_step);
        let creation = Creation {
            guest_type: self.guest_type,
            node: self.node,
            vmid,
            report,
            now: Step::Create,
            task: None,
            then: self.then,
        };
        match started {
            Started::Task(upid) => creation.begun(upid, wait),
            Started::WithoutTask(said) => {
                let report = creation.interim(None);
                Ok(Reply::report(report.warn(format!(
                    "Proxmox returned no task ({}): check the guest with {}",
                    said.unwrap_or_default(),
                    tool_names::GET_GUEST
                ))))
            }
        }
    }
}

impl Creation {
    fn begun(mut self, upid: Upid, wait: Option<bool>) -> Result<Reply<Report>> {
        let interim = self.interim(Some(&upid));
        if wait == Some(false) {
            return Ok(Reply::report(interim));
        }
        self.follow(upid);
        let text = interim.text();
        Ok(Reply::Running(self.pending()?, interim, text))
    }

    /// What to answer a caller who does not wait: nothing does the remaining steps then.
    /// Without a task, the present step is one of them, unless it made the guest.
    fn interim(&self, upid: Option<&Upid>) -> Report {
        let interim = match upid {
            Some(upid) => self.report.running(upid),
            None => Report {
                status: Status::DoneWithWarnings,
                ..self.report.clone()
            },
        };
        let now = Some(&self.now).filter(|now| upid.is_none() && **now != Step::Create);
        match listed(now.into_iter().chain(&self.then), self.guest_type) {
            rest if rest.is_empty() => interim,
            rest => interim.warn(format!(
                "this call did not wait, so these steps are left to do: {rest}"
            )),
        }
    }

    fn pending(self) -> Result<Pending> {
        Pending::own(&State::Guest(Box::new(self)))
    }

    fn follow(&mut self, upid: Upid) {
        let what = format!(
            "{}, {}",
            self.report.action,
            self.now.words(self.guest_type)
        );
        let report = Report::done(what);
        self.task = Some(Box::new(PendingTask::new(upid, report, None)));
    }

    /// Looks once at what runs, and begins the next step where it has ended.
    pub(super) fn resume(pve: &Pve, state: &str) -> Result<Outcome> {
        match Pending::read(state)? {
            State::Guest(creation) if creation.is_sound() => creation.advance(pve),
            State::Download { task, wanted } if wanted.is_sound() => downloaded(pve, *task, wanted),
            _ => Err(ticket::refused()),
        }
    }

    /// Whether a ticket, which anyone may have written, holds what is made here.
    fn is_sound(&self) -> bool {
        let mut steps = std::iter::once(&self.now).chain(&self.then);
        Format::Node.fits(&self.node) && steps.all(Step::is_sound)
    }

    /// Stops the task that runs. What is made so far stays.
    pub(super) fn cancel(pve: &Pve, state: &str) -> Result<Finished> {
        let (task, action) = match Pending::read(state)? {
            State::Download { task, .. } => {
                let action = task.report.action.clone();
                (Some(task), action)
            }
            State::Guest(creation) => (creation.task, creation.report.action),
        };
        let Some(task) = task else {
            return Err(Error::Conflict(format!(
                "{action}: no task is running that could be stopped"
            )));
        };
        follow::stop(pve, &task.upid)?;
        let report = Report::done(format!("stop: {action}"));
        let text = report.text();
        Finished::new(&report, text)
    }

    /// The error of the present step, with what it leaves behind.
    fn failed(&self, error: impl Into<Error>) -> Error {
        let error = error.into();
        match self.how_to_go_on() {
            Some(hint) => error.context(&hint),
            None => error,
        }
    }

    /// What a failed step leaves behind, and what to do. Nothing is there after a
    /// creation that failed.
    fn how_to_go_on(&self) -> Option<String> {
        let vmid = self.vmid;
        let how = match &self.now {
            Step::Create => return None,
            Step::Grow { disk, size } => format!(
                "repeat it with {} ({disk}, {size})",
                tool_names::RESIZE_DISK
            ),
            Step::Start => format!("start it with {}", tool_names::START_GUEST),
            Step::Address { .. } => format!("ask with {}", tool_names::GET_GUEST_NETWORK),
        };
        let rest = match listed(&self.then, self.guest_type) {
            rest if rest.is_empty() => rest,
            rest => format!(", then {}", rest.replace(';', ",")),
        };
        Some(format!(
            "guest {vmid} exists, but the step to {} failed: do not create it again, {how}{rest}; to \
             get rid of it, remove it in the web interface",
            self.now.words(self.guest_type)
        ))
    }

    fn advance(mut self, pve: &Pve) -> Result<Outcome> {
        if let Some(task) = self.task.take() {
            match task.see(pve).map_err(|error| self.failed(error))? {
                Seen::Running { task, wait } => {
                    let interim = self.interim(Some(&task.upid));
                    let text = interim.text();
                    self.task = Some(task);
                    return wait.outcome(self.pending()?, &interim, text);
                }
                Seen::Ended(report) => self.report.warnings.extend(report.warnings),
            }
            if !self.next() {
                return self.done();
            }
        }
        let vmid = self.vmid.to_string();
        let guest = [self.node.as_str(), vmid.as_str()];
        let started: Result<Started, Failure> = match &self.now {
            Step::Create => return self.done(),
            Step::Grow { disk, size } => {
                let form = Params::new().set("disk", disk).set("size", size);
                let call = calls::guests::RESIZE.of(self.guest_type);
                pve.send(&call.at(guest), &form)
            }
            Step::Start => {
                let call = calls::power::START.of(self.guest_type);
                pve.send(&call.at(guest), &Params::new())
            }
            Step::Address { until } => {
                let until = until.unwrap_or_else(|| clock::now().saturating_add(ADDRESS_SECONDS));
                return self.look_for_address(pve, until);
            }
        };
        let started = started.map_err(|failure| {
            let look = format!("it may have begun: look with {}", tool_names::GET_GUEST);
            self.failed(unsure(failure, &look))
        })?;
        match started {
            Started::Task(upid) => {
                let interim = self.interim(Some(&upid));
                self.follow(upid);
                self.running(interim, 500)
            }
            // Older versions grow a disk at once.
            Started::WithoutTask(_) => match self.next() {
                true => {
                    let interim = self.interim(None);
                    self.running(interim, 500)
                }
                false => self.done(),
            },
        }
    }

    /// Turns to the next step, if there is one.
    fn next(&mut self) -> bool {
        if self.then.is_empty() {
            return false;
        }
        self.now = self.then.remove(0);
        true
    }

    fn running(self, interim: Report, retry_after_ms: u32) -> Result<Outcome> {
        let message = format!(
            "{}: {}",
            self.report.action,
            self.now.words(self.guest_type)
        );
        let wait = Wait::new(message.clone(), retry_after_ms);
        wait.outcome(self.pending()?, &interim, message)
    }

    fn done(self) -> Result<Outcome> {
        let mut report = self.report;
        if !report.warnings.is_empty() {
            report.status = Status::DoneWithWarnings;
        }
        let text = report.text();
        Ok(Outcome::Done(Finished::new(&report, text)?))
    }

    fn look_for_address(mut self, pve: &Pve, until: u64) -> Result<Outcome> {
        let found = addresses(pve, self.guest_type, &self.node, self.vmid);
        if let Some(first) = found.first() {
            let all = text::names(found.iter().map(String::as_str));
            self.report.action = format!("{}, which has address {first}", self.report.action);
            self.report = self.report.change("addresses", None::<String>, Some(all));
            return self.done();
        }
        if clock::now() >= until {
            self.report = self.report.warn(format!(
                "it runs, and no address was reported in {} minutes: {}; {} asks again",
                ADDRESS_SECONDS / 60,
                match self.guest_type {
                    GuestType::Qemu =>
                        "only a guest agent reports one, and many cloud images have none until it \
                         is installed",
                    GuestType::Lxc => "look at its DHCP server and VLAN",
                },
                tool_names::GET_GUEST_NETWORK
            ));
            return self.done();
        }
        self.now = Step::Address { until: Some(until) };
        let interim = self.interim(None);
        self.running(interim, ADDRESS_PAUSE_MS)
    }
}

/// The error of a change that failed. A host looks at a ticket again where Proxmox did not
/// answer, so a change that may have been made all the same has another error: it would be
/// made twice.
fn unsure(failure: Failure, look: &str) -> Error {
    let may_be_done = failure.may_be_done();
    match Error::from(failure) {
        Error::Unreachable(message) if may_be_done => Error::Conflict(format!("{message}; {look}")),
        error => error,
    }
}

/// Looks once at the download, and makes the guest once it has ended.
fn downloaded(pve: &Pve, task: PendingTask, wanted: Box<Wanted>) -> Result<Outcome> {
    if let Seen::Running { task, wait } = task.see(pve)? {
        let interim = wanted.interim(&task.report, &task.upid);
        let text = interim.text();
        let pending = Pending::own(&State::Download { task, wanted })?;
        return wait.outcome(pending, &interim, text);
    }
    let made = wanted.make(pve, None).map_err(|error| {
        error.context("the template is downloaded, but creating the container failed")
    })?;
    match made {
        Reply::Done(report, text) | Reply::Listed(report, text, _) => {
            Ok(Outcome::Done(Finished::new(&report, text)?))
        }
        Reply::Running(pending, interim, message) => {
            Wait::new(message.clone(), 500).outcome(pending, &interim, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::Script;
    use crate::settings::Settings;

    fn creation(now: Step, then: Vec<Step>) -> Creation {
        Creation {
            guest_type: GuestType::Qemu,
            node: "pve1".into(),
            vmid: Vmid::new(105).unwrap(),
            report: Report::done("create VM 105"),
            now,
            task: None,
            then,
        }
    }

    fn grow(disk: &str, size: &str) -> Step {
        Step::Grow {
            disk: disk.into(),
            size: size.into(),
        }
    }

    fn wanted(settings: &[(&str, &str)]) -> Wanted {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Wanted {
            download: None,
            checked: String::new(),
            guest_type: GuestType::Lxc,
            node: "pve1".into(),
            vmid: Vmid::new(205),
            name: None,
            settings: settings.iter().map(owned).collect(),
            then: vec![Step::Start],
            warnings: Vec::new(),
            next_step: "log in".into(),
        }
    }

    fn task(kind: &str) -> Box<PendingTask> {
        let upid = format!("UPID:pve1:0000011D:000BED85:6B02AFAA:{kind}:105:root@pam!full:");
        let report = Report::done(kind);
        Box::new(PendingTask::new(upid.parse().unwrap(), report, None))
    }

    /// Resumes a ticket, and returns what was sent too.
    fn resume(state: &State, answers: &[&str]) -> (Result<Outcome>, Vec<String>) {
        let script = Script::new(answers.iter().map(|answer| answer.as_bytes().to_vec()));
        let pve = Pve::scripted(Settings::sample(), script.clone());
        let Pending::Own(state) = Pending::own(state).unwrap() else {
            panic!("not its own");
        };
        let outcome = Creation::resume(&pve, &state);
        let sent = script.sent().into_iter();
        let sent = sent.filter(|sent| sent.method != "GET");
        (outcome, sent.map(|sent| sent.url).collect())
    }

    const ENDED: &str = "200 OK\n{\"data\":{\"status\":\"stopped\",\"exitstatus\":\"OK\"}}";
    const LOG: &str = "200 OK\n{\"data\":[]}";

    #[test]
    fn a_forged_ticket_sends_nothing() {
        let guest = |now: Step, node: &str| {
            let mut creation = creation(now, vec![Step::Start]);
            creation.node = node.into();
            State::Guest(Box::new(creation))
        };
        let download = |settings: &[(&str, &str)]| State::Download {
            task: task("download"),
            wanted: Box::new(wanted(settings)),
        };
        for state in [
            guest(grow("net0", "8G"), "pve1"),
            guest(grow("scsi0", "8 G"), "pve1"),
            guest(Step::Start, "../pve1"),
            download(&[("hookscript", "local:snippets/x")]),
            download(&[("vmid", "100")]),
            download(&[("unprivileged", "1\n")]),
            download(&[("net0", "name=eth0,bridge=vmbr0,script.up=/x")]),
        ] {
            let (outcome, sent) = resume(&state, &[ENDED, LOG]);
            let error = outcome.unwrap_err();
            assert!(error.message().contains("not a ticket"), "{error:?}");
            assert!(sent.is_empty(), "{sent:?}");
        }
    }

    /// A host looks again where Proxmox did not answer.
    #[test]
    fn what_may_have_been_made_is_not_made_again() {
        let state = State::Download {
            task: task("download"),
            wanted: Box::new(wanted(&[("unprivileged", "1")])),
        };
        let (outcome, sent) = resume(&state, &[ENDED, LOG]);
        let Err(Error::Conflict(message)) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(
            message.contains("guest 205 may have been made") && message.contains("list_guests"),
            "{message}"
        );
        assert_eq!(sent.len(), 1, "{sent:?}");
    }

    #[test]
    fn the_first_step_after_the_creation_that_fails_names_the_guest() {
        let mut creation = creation(Step::Create, vec![grow("scsi0", "32G"), Step::Start]);
        creation.task = Some(task("qmcreate"));
        let state = State::Guest(Box::new(creation));
        let (outcome, sent) = resume(&state, &[ENDED, LOG, "400 no\n"]);
        let message = outcome.unwrap_err().message();
        assert!(
            message.contains("guest 105 exists, but the step to grow scsi0 to 32G failed"),
            "{message}"
        );
        assert_eq!(sent.len(), 1, "{sent:?}");
    }

    #[test]
    fn who_does_not_wait_is_told_what_is_left() {
        let mut creation = creation(Step::Create, vec![grow("scsi0", "32G"), Step::Start]);
        creation.task = Some(task("qmcreate"));
        let state = State::Guest(Box::new(creation));
        let running = "200 OK\n{\"data\":{\"status\":\"running\"}}";
        let (outcome, _) = resume(&state, &[running, LOG]);
        let Ok(Outcome::Running(running)) = outcome else {
            panic!("{outcome:?}");
        };
        let interim = running.interim.structured;
        assert!(
            interim.contains("left to do: grow scsi0 to 32G; start the VM"),
            "{interim}"
        );
        assert!(interim.contains("create VM 105"), "{interim}");
    }

    #[test]
    fn a_ticket_comes_back_as_it_was() {
        let creation = creation(
            grow("scsi0", "32G"),
            vec![Step::Start, Step::Address { until: None }],
        );
        let (now, then) = (creation.now.clone(), creation.then.clone());
        let Pending::Own(state) = creation.pending().unwrap() else {
            panic!("not its own");
        };
        let State::Guest(again) = Pending::read(&state).unwrap() else {
            panic!("a download");
        };
        assert_eq!((&again.now, &again.then), (&now, &then));
        let hint = again.how_to_go_on().unwrap();
        assert_eq!(
            hint,
            "guest 105 exists, but the step to grow scsi0 to 32G failed: do not create it again, \
             repeat it with resize_disk (scsi0, 32G), then start the VM, wait for an address; to \
             get rid of it, remove it in the web interface"
        );
        assert!(Pending::read::<State>(&state.replace("start", "destroy")).is_err());
    }
}
