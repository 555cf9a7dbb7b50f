//! Where spans are sent to.

use url::Url;

use super::error::SettingsError;
use super::sources::Sources;
use super::trust::CaFile;
use super::variable::{self, Variable};

/// Takes the address from the variables that all programs with OpenTelemetry know.
const ENVIRONMENT: &str = "environment";
/// Where a collector takes traces, unless its address says otherwise.
const PATH: &str = "/v1/traces";

/// The operator's collector of traces.
#[derive(Debug, Clone)]
pub(crate) struct TracesSettings {
    /// With the path that takes traces.
    pub endpoint: Url,
    /// Certificates to accept of it, besides the system's.
    pub ca: Option<CaFile>,
}

impl TracesSettings {
    /// None: no spans are sent.
    pub(crate) fn from_sources(sources: &Sources) -> Result<Option<Self>, SettingsError> {
        let endpoint = sources.parse_optional(Variable::Traces, |text| {
            match text.eq_ignore_ascii_case(ENVIRONMENT) {
                true => of_environment(|name| std::env::var(name).ok()),
                false => endpoint(text),
            }
        })?;
        let ca = sources.parse_optional(Variable::TracesCaFile, variable::read_ca_file)?;
        match endpoint {
            Some(endpoint) => Ok(Some(Self { endpoint, ca })),
            None if ca.is_some() => Err(sources.missing(vec![Variable::Traces])),
            None => Ok(None),
        }
    }
}

fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Url, String> {
    let given = |name| variable(name).filter(|value| !value.trim().is_empty());
    let read = |name: &str, text: &str, exact| {
        let parsed = match exact {
            true => parse(text),
            // The specification appends the path to whatever path is there.
            false => parse(&format!("{}{PATH}", text.trim_end_matches('/'))),
        };
        parsed.map_err(|problem| format!("takes the address from {name}, which {problem}"))
    };
    let (of_traces, of_all) = (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    );
    match (given(of_traces), given(of_all)) {
        (Some(text), _) => read(of_traces, text.trim(), true),
        (None, Some(text)) => read(of_all, text.trim(), false),
        (None, None) => Err(format!(
            "takes the address from {of_traces} or {of_all}, and neither is set"
        )),
    }
}

fn endpoint(text: &str) -> Result<Url, String> {
    let mut url = parse(text)?;
    if url.path() == "/" {
        url.set_path(PATH);
    }
    Ok(url)
}

fn parse(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| "is not a URL".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err("is not an http:// or https:// URL".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user or password: give headers by OTEL_EXPORTER_OTLP_HEADERS".into());
    }
    if url.fragment().is_some() {
        return Err("has a fragment, which no request has".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_collectors() {
        let path = |text: &str| endpoint(text).map(|url| url.to_string());
        assert_eq!(
            path("http://localhost:4318").unwrap(),
            "http://localhost:4318/v1/traces"
        );
        assert_eq!(
            path("https://otel.example.com/in/v1/traces").unwrap(),
            "https://otel.example.com/in/v1/traces"
        );
        for wrong in [
            "localhost:4318",
            "grpc://localhost:4317",
            "https://user:hush@otel.example.com",
            "https://otel.example.com/#x",
        ] {
            let problem = path(wrong).unwrap_err();
            assert!(!problem.contains("hush"), "{problem}");
        }
    }

    #[test]
    fn the_environment_names_the_path_or_has_it_added() {
        let of = |given: &[(&str, &str)]| {
            of_environment(|name| {
                let given = given.iter().find(|(key, _)| *key == name);
                given.map(|(_, value)| (*value).to_owned())
            })
            .map(|url| url.to_string())
        };
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/base/");
        assert_eq!(of(&[all]).unwrap(), "http://c:4318/base/v1/traces");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:4318/x");
        assert_eq!(of(&[all, traces]).unwrap(), "http://t:4318/x");
        assert!(of(&[]).is_err());
    }
}
