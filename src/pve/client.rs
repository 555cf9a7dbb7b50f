//! Requests to the API, and how their answers are read.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use waki::Method;

use super::transport::{self, Answer, Lost};
use super::{ApiError, Failure, Params, Path};
use crate::settings::Settings;

/// A client of one Proxmox address.
#[derive(Debug)]
pub(crate) struct Pve {
    settings: Settings,
    /// Answers instead of Proxmox.
    #[cfg(any(test, fuzzing))]
    script: Option<super::Script>,
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
            #[cfg(any(test, fuzzing))]
            script: None,
        }
    }

    /// A client whose requests a script answers.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn scripted(settings: Settings, script: super::Script) -> Self {
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
    pub(crate) fn empty_hint(&self, privilege: &str, path: &str) -> String {
        format!(
            "nothing is visible: there is nothing, or the token {} lacks {privilege} on {path} (a \
             privilege-separated token needs rights of its own, under Datacenter, Permissions)",
            self.token_name()
        )
    }

    /// Reads.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        path: &Path,
        query: &Params,
    ) -> Result<T, Failure> {
        self.get_paged(path, query).map(|page| page.data)
    }

    /// Reads a page of a list.
    pub(crate) fn get_paged<T: DeserializeOwned>(
        &self,
        path: &Path,
        query: &Params,
    ) -> Result<Paged<T>, Failure> {
        self.request(Method::Get, path, query)
    }

    /// Starts or creates something.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &Path,
        form: &Params,
    ) -> Result<T, Failure> {
        self.request(Method::Post, path, form).map(|page| page.data)
    }

    /// Changes something.
    pub(crate) fn put<T: DeserializeOwned>(
        &self,
        path: &Path,
        form: &Params,
    ) -> Result<T, Failure> {
        self.request(Method::Put, path, form).map(|page| page.data)
    }

    /// Removes something: a rule, a snapshot, a running task. There is no way
    /// to remove a guest: [`Removable`] has no such case.
    pub(crate) fn delete<T: DeserializeOwned>(
        &self,
        what: &Removable<'_>,
        query: &Params,
    ) -> Result<T, Failure> {
        self.request(Method::Delete, &what.path(), query)
            .map(|page| page.data)
    }

    fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &Path,
        params: &Params,
    ) -> Result<Paged<T>, Failure> {
        let call = format!("{} {path}", name(&method));
        if !path.is_plain() {
            let message = "it named something by dots, or by nothing".to_owned();
            return Err(Failure::Unreadable { call, message });
        }
        let writes = !matches!(method, Method::Get);
        let mut url = format!("{}/api2/json{path}", self.settings.base);
        // pveproxy takes no body on GET and DELETE.
        let form = if matches!(method, Method::Post | Method::Put) {
            Some(params.encode())
        } else {
            if !params.is_empty() {
                url.push('?');
                url.push_str(&params.encode());
            }
            None
        };
        let authorization = self.settings.authorization();
        let answer = self
            .send(method, &url, authorization.as_deref(), form)
            .map_err(|lost| match lost {
                Lost::Refused => Failure::Refused { call: call.clone() },
                Lost::NotSent(message) => Failure::Transport {
                    call: call.clone(),
                    message,
                    maybe_done: false,
                },
                Lost::Broken(message) => Failure::Transport {
                    call: call.clone(),
                    message,
                    maybe_done: writes,
                },
            })?;
        if !(200..300).contains(&answer.status) {
            return Err(Failure::Api(Box::new(ApiError::read(
                call,
                path.node().map(str::to_owned),
                answer.status,
                answer.reason.as_deref(),
                &answer.body,
                self.token_name(),
            ))));
        }
        read(&answer.body).map_err(|message| {
            if writes {
                // Proxmox said yes, in words that cannot be read.
                return Failure::Transport {
                    call,
                    message: format!("the answer cannot be read ({message})"),
                    maybe_done: true,
                };
            }
            Failure::Unreadable { call, message }
        })
    }

    fn send(
        &self,
        method: Method,
        url: &str,
        authorization: Option<&str>,
        form: Option<String>,
    ) -> Result<Answer, Lost> {
        #[cfg(any(test, fuzzing))]
        if let Some(script) = &self.script {
            return script.answer(name(&method), url, form);
        }
        transport::send(method, url, authorization, form)
    }
}

/// All that a tool can remove. A guest, a storage and a volume are not here,
/// so no code path can remove one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Removable<'a> {
    /// Stops a task that is running.
    Task { node: &'a str, upid: &'a str },
    /// A guest's snapshot.
    Snapshot {
        guest: &'a super::Guest,
        name: &'a str,
    },
    /// A firewall rule, by its position below a firewall's `rules`.
    FirewallRule { rules: &'a Path, position: &'a str },
}

impl Removable<'_> {
    fn path(&self) -> Path {
        match self {
            Self::Task { node, upid } => Path::new(["nodes", node, "tasks", upid]),
            Self::Snapshot { guest, name } => guest.path(["snapshot", name]),
            Self::FirewallRule { rules, position } => rules.join([*position]),
        }
    }
}

fn name(method: &Method) -> &'static str {
    match method {
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        _ => "GET",
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<Paged<T>, String> {
    #[derive(Deserialize)]
    struct Body<T> {
        data: T,
        total: Option<u64>,
    }
    serde_json::from_slice::<Body<T>>(body)
        .map(|body| Paged {
            data: body.data,
            total: body.total,
        })
        // The position is enough: the answer itself may hold anything.
        .map_err(|error| {
            format!(
                "at line {} column {}: {}",
                error.line(),
                error.column(),
                why(&error)
            )
        })
}

fn why(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Syntax => "no JSON",
        serde_json::error::Category::Eof => "cut short",
        serde_json::error::Category::Data => "JSON of another shape",
        serde_json::error::Category::Io => "broken",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_data_is_an_answer() {
        assert!(
            read::<Option<Vec<u8>>>(br#"{"data":null}"#)
                .unwrap()
                .data
                .is_none()
        );
        assert!(read::<()>(br#"{"data":null}"#).is_ok());
        assert_eq!(
            read::<Vec<u8>>(br#"{"data":[1],"total":7}"#).unwrap().total,
            Some(7)
        );
    }

    #[test]
    fn unreadable_answers_are_told_without_their_text() {
        assert_eq!(
            read::<()>(b"<html>").unwrap_err(),
            "at line 1 column 1: no JSON"
        );
        assert!(
            read::<()>(br#"{"data":"#)
                .unwrap_err()
                .ends_with("cut short")
        );
        assert!(
            read::<u8>(br#"{"data":"x"}"#)
                .unwrap_err()
                .ends_with("another shape")
        );
    }
}
