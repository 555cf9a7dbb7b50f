//! Looks for the secrets of all tests in all that their processes wrote.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;

/// What was looked through.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Searched {
    pub(crate) files: usize,
    pub(crate) bytes: usize,
    pub(crate) secrets: usize,
}

/// The folder of transcripts, which the tests' own library fills.
pub(crate) struct Transcripts {
    folder: PathBuf,
}

impl Transcripts {
    /// Names the folder to the tests.
    pub(crate) const VARIABLE: &str = "PROXMOX_MCP_TRANSCRIPTS";

    /// An empty folder.
    pub(crate) fn create(folder: PathBuf) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        let transcripts = Self { folder };
        for folder in [transcripts.outputs(), transcripts.secrets()] {
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(transcripts)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where what was written is put.
    pub(crate) fn outputs(&self) -> PathBuf {
        self.folder.join("outputs")
    }

    fn secrets(&self) -> PathBuf {
        self.folder.join("secrets")
    }

    /// Fails if a secret is in an output, or a token's in a request log: there
    /// passwords belong, as they are what was asked for.
    pub(crate) fn check(&self, request_logs: &[PathBuf]) -> Result<Searched> {
        let secrets = self.read_secrets()?;
        let all = Search::new(secrets.iter().map(|(_, secret)| secret.as_str()))?;
        let tokens = secrets.iter().filter(|(kind, _)| kind == "token");
        let tokens = Search::new(tokens.map(|(_, secret)| secret.as_str()))?;

        let outputs = files(&self.outputs())?;
        let mut searched = Searched {
            files: 0,
            bytes: 0,
            secrets: secrets.len(),
        };
        let mut leaks = Vec::new();
        let outputs = outputs.iter().map(|file| (&all, file));
        for (search, file) in outputs.chain(request_logs.iter().map(|file| (&tokens, file))) {
            let content =
                fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            searched.files += 1;
            searched.bytes += content.len();
            leaks.extend(
                search
                    .lines(&content)
                    .map(|line| format!("{}:{line}", file.display())),
            );
        }
        if !leaks.is_empty() {
            bail!("a secret was written to {}", leaks.join(", "));
        }
        Ok(searched)
    }

    fn read_secrets(&self) -> Result<BTreeSet<(String, String)>> {
        let mut secrets = BTreeSet::new();
        for file in files(&self.secrets())? {
            for line in fs::read_to_string(&file)?.lines() {
                let entry: Value = serde_json::from_str(line)?;
                let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
                let entry = text("kind").zip(text("secret"));
                secrets.insert(entry.with_context(|| format!("in {}", file.display()))?);
            }
        }
        Ok(secrets)
    }
}

/// Finds secrets in each form that they may have been given.
struct Search(AhoCorasick);

impl Search {
    fn new<'a>(secrets: impl Iterator<Item = &'a str>) -> Result<Self> {
        let forms: BTreeSet<Vec<u8>> = secrets.flat_map(forms).collect();
        Ok(Self(AhoCorasick::new(forms)?))
    }

    /// The lines that hold one, counted from 1; at most [`MAX_LINES`].
    fn lines(&self, content: &[u8]) -> impl Iterator<Item = usize> {
        let (mut line, mut rest, mut at) = (1, content, 0);
        let lines = self.0.find_iter(content).map(move |hit| {
            // Hits come in order, so each byte is looked at once.
            let (before, after) = rest.split_at_checked(hit.start() - at).unwrap_or_default();
            line += before.iter().filter(|byte| **byte == b'\n').count();
            (rest, at) = (after, hit.start());
            line
        });
        let mut last = 0;
        lines
            .filter(move |line| std::mem::replace(&mut last, *line) != *line)
            .take(MAX_LINES)
    }
}

/// More of one file would not help to find what wrote them.
const MAX_LINES: usize = 10;

fn forms(secret: &str) -> Vec<Vec<u8>> {
    let json = Value::from(secret).to_string();
    let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut forms = vec![
        secret.to_owned(),
        json.trim_matches('"').to_owned(),
        form.replace('+', "%20"),
        form,
    ];
    // A secret within a longer text begins at any of three places; what is
    // left out depends on its neighbours.
    for skip in 0..3 {
        let whole = secret.as_bytes().get(skip..).unwrap_or_default();
        let whole = whole.chunks_exact(3).flatten().copied();
        forms.push(STANDARD_NO_PAD.encode(whole.collect::<Vec<u8>>()));
    }
    forms.into_iter().map(String::into_bytes).collect()
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "8a7f3c1e-1111-4222-8333-0123456789ab";
    const PASSWORD: &str = "S3same & \"open\" y\u{f6}u";

    /// A folder of this test's own, which is removed in the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("xtask-leaks-{}-{name}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn transcripts(&self) -> Transcripts {
            let transcripts = Transcripts::create(self.0.clone()).unwrap();
            let entry = |kind, secret| serde_json::json!({ "kind": kind, "secret": secret });
            let entries = [entry("token", TOKEN), entry("password", PASSWORD)];
            let lines = entries.map(|entry| format!("{entry}\n")).concat();
            fs::write(transcripts.secrets().join("a.jsonl"), lines).unwrap();
            transcripts
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_holds_no_secret_passes() {
        let folder = Folder::new("none");
        let transcripts = folder.transcripts();
        let log = transcripts.folder().join("requests.jsonl");
        fs::write(&log, format!("{{\"password\":{}}}", Value::from(PASSWORD))).unwrap();
        fs::write(transcripts.outputs().join("a.txt"), &TOKEN[..20]).unwrap();
        let searched = transcripts.check(&[log]).unwrap();
        assert_eq!((searched.files, searched.secrets), (2, 2));
    }

    #[test]
    fn a_planted_secret_is_found_in_every_form() {
        let folder = Folder::new("planted");
        let transcripts = folder.transcripts();
        let file = transcripts.outputs().join("a.txt");
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        for planted in [
            TOKEN.to_owned(),
            PASSWORD.to_owned(),
            format!("x{TOKEN}x"),
            Value::from(PASSWORD).to_string(),
            "S3same+%26+%22open%22+y%C3%B6u".to_owned(),
            "S3same%20%26%20%22open%22%20y%C3%B6u".to_owned(),
            base64(TOKEN),
            base64(&format!("a{TOKEN}")),
            base64(&format!("ab:{TOKEN}!")),
            base64(PASSWORD),
        ] {
            fs::write(&file, format!("first\nsecond {planted} end\n")).unwrap();
            let error = transcripts.check(&[]).unwrap_err().to_string();
            assert!(error.ends_with("a.txt:2"), "{planted}: {error}");
            assert!(!error.contains(TOKEN), "{error}");
        }
        fs::remove_file(&file).unwrap();
        transcripts.check(&[]).unwrap();
    }

    #[test]
    fn the_first_lines_with_a_secret_are_named_once_each() {
        let folder = Folder::new("lines");
        let transcripts = folder.transcripts();
        let file = transcripts.outputs().join("a.txt");
        // Quick, however many there are.
        let often = format!("{TOKEN} {TOKEN}\n\n").repeat(100_000);
        fs::write(&file, often).unwrap();
        let error = transcripts.check(&[]).unwrap_err().to_string();
        assert!(error.ends_with("a.txt:19"), "{error}");
        assert_eq!(error.matches("a.txt:1,").count(), 1, "{error}");
    }

    #[test]
    fn no_request_log_holds_a_token() {
        let folder = Folder::new("log");
        let transcripts = folder.transcripts();
        let log = transcripts.folder().join("requests.jsonl");
        fs::write(&log, TOKEN).unwrap();
        assert!(transcripts.check(&[log]).is_err());
    }
}
